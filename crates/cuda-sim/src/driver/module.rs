//! Modules, their functions and variables.

use std::sync::Arc;

use super::Driver;
use super::error::{Code, Status};
use crate::Program;
use crate::ptx::Module;

/// A module in a context.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) context: u64,
    program: Arc<Program>,
}

/// A kernel of a module.
#[derive(Debug, Clone)]
pub(super) struct Function {
    pub(super) module: u64,
    pub(super) context: u64,
    pub(super) program: Arc<Program>,
    pub(super) name: String,
    /// Most bytes of dynamic shared memory.
    pub(super) dynamic_shared: usize,
}

/// The version of CUDA that the driver says it is for.
pub(super) const VERSION: i32 = 13000;
/// The newest PTX that such a driver takes.
const PTX: (u32, u32) = (9, 0);

impl Driver {
    /// Loads PTX; the error's text is what a compiler's log would have.
    pub(super) fn load_module(&mut self, source: &str) -> Result<u64, (Code, String)> {
        let current = self.current().map_err(|code| (code, String::new()))?;
        let module = self.parse(source)?;
        let device = self.contexts[&current].device as u32;
        let program = Program::place(module, &self.memory, device);
        let program = Arc::new(program.map_err(|error| (Code::INVALID_PTX, error.to_string()))?);
        let handle = self.handle();
        self.modules.insert(handle, Loaded { context: current, program });
        Ok(handle)
    }

    fn parse(&mut self, source: &str) -> Result<Arc<Module>, (Code, String)> {
        if let Some(module) = self.parsed.get(source) {
            return Ok(module.clone());
        }
        // The header decides first: newer PTX may have anything in it.
        if let Some(version) = version(source).filter(|version| *version > PTX) {
            let ((major, minor), (most, least)) = (version, PTX);
            let text = format!("PTX version {major}.{minor}, this driver knows up to {most}.{least}");
            return Err((Code::UNSUPPORTED_PTX_VERSION, text));
        }
        let module = Module::parse(source).map_err(|error| (Code::INVALID_PTX, error.to_string()))?;
        let capability = self.options.card.capability;
        let target = module.target.strip_prefix("sm_").and_then(|target| target.parse::<u32>().ok());
        // sm_90a and the like run on that very card only, and no card here is one.
        if target.is_none_or(|target| target > capability) {
            let text = format!("PTX for {}, the card is sm_{capability}", module.target);
            return Err((Code::NO_BINARY_FOR_GPU, text));
        }
        let module = Arc::new(module);
        self.parsed.insert(source.to_string(), module.clone());
        Ok(module)
    }

    pub(super) fn unload_module(&mut self, module: u64) -> Status<()> {
        self.current()?;
        if !self.modules.contains_key(&module) {
            return Err(Code::INVALID_HANDLE);
        }
        self.drop_module(module);
        Ok(())
    }

    /// Frees the module's variables. What is pending finds them gone.
    pub(super) fn drop_module(&mut self, module: u64) {
        self.functions.retain(|_, function| function.module != module);
        let Some(loaded) = self.modules.remove(&module) else { return };
        for variable in &loaded.program.module().variables {
            if let Some((address, _)) = loaded.program.variable(&variable.name) {
                let freed = self.memory.free(address);
                debug_assert_eq!(freed, Ok(()));
            }
        }
    }

    pub(super) fn module_function(&mut self, module: u64, name: &str) -> Status<u64> {
        self.current()?;
        let loaded = self.modules.get(&module).ok_or(Code::INVALID_HANDLE)?;
        let kernel = loaded.program.module().kernel(name).ok_or(Code::NOT_FOUND)?;
        let dynamic_shared = self.options.card.shared.saturating_sub(kernel.shared_bytes);
        let (context, program) = (loaded.context, loaded.program.clone());
        let function = Function { module, context, program, name: name.to_string(), dynamic_shared };
        // A function of a module has one handle, so that its attributes are the same for all who ask for it.
        let known = self.functions.iter().find(|(_, known)| known.module == module && known.name == name);
        if let Some((known, _)) = known {
            return Ok(*known);
        }
        let handle = self.handle();
        self.functions.insert(handle, function);
        Ok(handle)
    }

    pub(super) fn module_variable(&mut self, module: u64, name: &str) -> Status<(u64, usize)> {
        self.current()?;
        let loaded = self.modules.get(&module).ok_or(Code::INVALID_HANDLE)?;
        loaded.program.variable(name).ok_or(Code::NOT_FOUND)
    }
}

/// Major and minor of `.version`.
fn version(source: &str) -> Option<(u32, u32)> {
    let (_, rest) = source.split_once(".version")?;
    let (major, minor) = rest.split_whitespace().next()?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
