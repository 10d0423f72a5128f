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
/// Functions and types of the program, here the registers that a Modbus gateway publishes:
///
/// ```
/// use primer_mapping::{Host, rhai::{Blob, EvalAltResult}};
///
/// /// Registers of Modbus: 16 bits each, the high byte first.
/// #[derive(Debug, Clone)]
/// struct Registers(Vec<u16>);
///
/// impl Registers {
///     fn read(bytes: Blob) -> Result<Self, Box<EvalAltResult>> {
///         if bytes.len() % 2 != 0 {
///             return Err(format!("{} bytes are not registers of 2 bytes", bytes.len()).into());
///         }
///         Ok(Self(bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect()))
///     }
///
///     fn at(&mut self, index: i64) -> Result<i64, Box<EvalAltResult>> {
///         let register = usize::try_from(index).ok().and_then(|index| self.0.get(index));
///         Ok(i64::from(*register.ok_or_else(|| format!("there is no register {index}"))?))
///     }
///
///     /// A float is in two registers.
///     fn float(&mut self, index: i64) -> Result<f64, Box<EvalAltResult>> {
///         let (high, low) = (self.at(index)? as u32, self.at(index.saturating_add(1))? as u32);
///         Ok(f64::from(f32::from_bits(high << 16 | low)))
///     }
/// }
///
/// let host = Host::new().register(|engine| {
///     engine
///         .register_type_with_name::<Registers>("Registers")
///         .register_fn("registers", Registers::read)
///         .register_get("count", |registers: &mut Registers| registers.0.len() as i64)
///         .register_indexer_get(Registers::at)
///         .register_fn("float", Registers::float);
/// });
///
/// let script = r#"
///     rule("boiler", "plc/boiler/raw", |msg| {
///         let plc = registers(msg.payload);
///         publish("plc/boiler", #{ celsius: round(plc.float(0), 1), pumps: plc[2], registers: plc.count });
///         ok
///     });
/// "#;
/// let rules = Ruleset::load(&host, &[("boiler.rhai", script)]).expect("is a valid file");
/// # use primer_mapping::{Content, How, Msg, RuleState, Ruleset};
///
/// let payload: &[u8] = &[0x42, 0xab, 0x33, 0x33, 0x00, 0x02];
/// let message = Msg::new(Content { topic: "plc/boiler/raw".into(), payload: payload.into(), ..Content::default() });
/// let called = rules.rules()[0].call(&message, &mut RuleState::new(0, 0), How::default());
/// let made = &called.outputs[0].message.content().payload;
/// assert_eq!(made[..], br#"{"celsius":85.6,"pumps":2,"registers":3}"#[..]);
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
