//! The bytes of one file, in pages that copies share.

use std::{io, sync::Arc};

const PAGE: usize = 4096;

type Page = [u8; PAGE];

/// See the module's description. A page that was never written is not there, and is zero.
#[derive(Debug, Clone, Default)]
pub struct Pages {
    pages: Vec<Option<Arc<Page>>>,
    len: u64,
}

impl Pages {
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn set_len(&mut self, len: u64) {
        self.pages.resize((len as usize).div_ceil(PAGE), None);
        let inside = len as usize % PAGE;
        if len < self.len
            && inside > 0
            && let Some(Some(last)) = self.pages.last_mut()
        {
            Arc::make_mut(last)[inside..].fill(0);
        }
        self.len = len;
    }

    pub fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset + out.len() as u64 > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut at = offset as usize;
        let mut out = out;
        while !out.is_empty() {
            let inside = at % PAGE;
            let size = (PAGE - inside).min(out.len());
            let (now, later) = out.split_at_mut(size);
            match &self.pages[at / PAGE] {
                Some(page) => now.copy_from_slice(&page[inside..inside + size]),
                None => now.fill(0),
            }
            (out, at) = (later, at + size);
        }
        Ok(())
    }

    /// Writes, and makes the file longer if it has to.
    pub fn write(&mut self, offset: u64, data: &[u8]) {
        let end = offset + data.len() as u64;
        if end > self.len {
            self.set_len(end);
        }
        let (mut at, mut data) = (offset as usize, data);
        while !data.is_empty() {
            let inside = at % PAGE;
            let size = (PAGE - inside).min(data.len());
            let page = self.pages[at / PAGE].get_or_insert_with(|| Arc::new([0; PAGE]));
            Arc::make_mut(page)[inside..inside + size].copy_from_slice(&data[..size]);
            (data, at) = (&data[size..], at + size);
        }
    }

    pub fn flip(&mut self, bit: u64) {
        let at = bit as usize / 8;
        let page = self.pages[at / PAGE].get_or_insert_with(|| Arc::new([0; PAGE]));
        Arc::make_mut(page)[at % PAGE] ^= 1 << (bit % 8);
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len as usize];
        self.read(0, &mut bytes).expect("it is as long as it is");
        bytes
    }

    /// Whether anything but zeros was ever written to a page.
    pub fn is_written(&self, page: usize) -> bool {
        self.pages.get(page).is_some_and(|page| page.as_ref().is_some_and(|page| page.iter().any(|byte| *byte != 0)))
    }
}
