//! What a program gives the rules: limits, and functions, types and modules of its own.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use rhai::Engine;

use crate::{engine::Engines, limits::Limits, lookup::Lookups, message::Stage};

pub(crate) type Registration = Arc<dyn Fn(&mut Engine) + Send + Sync>;

/// The surroundings of the rules of a program.
///
/// ```
/// use primer_mapping::{Host, Ruleset};
///
/// // Modbus sends a float as two registers; this gives rules `modbus_f32(blob, register)`.
/// let host = Host::new().register(|engine| {
///     engine.register_fn("modbus_f32", |registers: rhai::Blob, at: i64| -> Result<f64, Box<rhai::EvalAltResult>> {
///         let at = usize::try_from(at).unwrap_or(usize::MAX).saturating_mul(2);
///         let bytes = registers.get(at..).and_then(|rest| rest.first_chunk::<4>());
///         let bytes = bytes.ok_or_else(|| format!("there is no float at byte {at}"))?;
///         Ok(f64::from(f32::from_be_bytes(*bytes)))
///     });
/// });
/// # use primer_mapping::rhai;
/// let script = r#"
///     rule("boiler", "plc/boiler/raw", |msg| {
///         publish("plc/boiler/temperature", #{ celsius: modbus_f32(msg.payload, 2) });
///         ok
///     });
/// "#;
/// let rules = Ruleset::load(&host, &[("boiler.rhai", script)]).expect("is a valid file");
/// assert_eq!(rules.rules().len(), 1);
/// ```
#[derive(Clone)]
pub struct Host {
    group: Limits,
    ingress: Limits,
    most: Option<Limits>,
    tables: Arc<Lookups>,
    registrations: Vec<Registration>,
    /// Made when first needed, and then for all loads: building them costs milliseconds.
    engines: OnceLock<Arc<Engines>>,
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Host {
    /// With [`Limits::GROUP`] and [`Limits::INGRESS`], and nothing of the program's.
    #[must_use]
    pub fn new() -> Self {
        Self {
            group: Limits::GROUP,
            ingress: Limits::INGRESS,
            most: None,
            tables: Arc::default(),
            registrations: Vec::new(),
            engines: OnceLock::new(),
        }
    }

    /// Sets the limits of the rules of a stage.
    #[must_use]
    pub fn limits(mut self, stage: Stage, limits: Limits) -> Self {
        match stage {
            Stage::Group => self.group = limits,
            Stage::Ingress => self.ingress = limits,
        }
        self.engines = OnceLock::new();
        self
    }

    /// Lets rules raise their own `operations`, `wall` and `fan_out` up to these; else they can only lower them.
    #[must_use]
    pub fn limits_max(mut self, most: Limits) -> Self {
        self.most = Some(most);
        self
    }

    /// Gives rules tables: what `lookup` looks into.
    #[must_use]
    pub fn lookups(mut self, tables: Arc<Lookups>) -> Self {
        self.tables = tables;
        self.engines = OnceLock::new();
        self
    }

    /// Registers functions, types and modules. It is called once for each stage's engine, and must do the same each
    /// time. A function that panics fails the message; one that does not return holds up its thread, as Rhai cannot
    /// end it.
    #[must_use]
    pub fn register(mut self, registration: impl Fn(&mut Engine) + Send + Sync + 'static) -> Self {
        self.registrations.push(Arc::new(registration));
        self.engines = OnceLock::new();
        self
    }

    /// The limits of a stage.
    #[must_use]
    pub fn limits_of(&self, stage: Stage) -> &Limits {
        match stage {
            Stage::Group => &self.group,
            Stage::Ingress => &self.ingress,
        }
    }

    /// The most that a rule of a stage may set for itself.
    pub(crate) fn most(&self, stage: Stage) -> Limits {
        let limits = self.limits_of(stage);
        self.most.as_ref().map_or_else(
            || limits.clone(),
            |most| Limits {
                operations: most.operations.max(limits.operations),
                wall: most.wall.max(limits.wall),
                fan_out: most.fan_out.max(limits.fan_out),
                ..limits.clone()
            },
        )
    }

    pub(crate) fn engines(&self) -> &Arc<Engines> {
        self.engines.get_or_init(|| Arc::new(Engines::new(self)))
    }

    pub(crate) fn tables(&self) -> &Arc<Lookups> {
        &self.tables
    }

    pub(crate) fn registrations(&self) -> &[Registration] {
        &self.registrations
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("group", &self.group)
            .field("ingress", &self.ingress)
            .field("registrations", &self.registrations.len())
            .finish_non_exhaustive()
    }
}
