//! Runs an ONNX file on the cases of a job file: run LIBRARY MODEL JOB
//!
//! The job is that of run.c. ONNX Runtime is called by its C ABI, without any crate: its API is a
//! table of functions whose slots are facts of OrtApi in onnxruntime_c_api.h.
use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::io::Write;
use std::{fs, mem, ptr, slice};

type Handle = *mut c_void;

extern "C" {
    fn dlopen(file: *const c_char, mode: c_int) -> Handle;
    fn dlsym(library: Handle, name: *const c_char) -> Handle;
}

#[repr(C)]
struct ApiBase {
    get_api: unsafe extern "C" fn(u32) -> *const Handle,
    get_version: unsafe extern "C" fn() -> *const c_char,
}

struct Api(*const Handle);

impl Api {
    /// Returns a function of the table; the caller names its type.
    unsafe fn slot<F: Copy>(&self, number: usize) -> F {
        mem::transmute_copy(&*self.0.add(number))
    }

    unsafe fn check(&self, status: Handle) -> Result<(), String> {
        if status.is_null() {
            return Ok(());
        }
        let message: unsafe extern "C" fn(Handle) -> *const c_char = self.slot(2);
        Err(CStr::from_ptr(message(status)).to_string_lossy().into_owned())
    }
}

struct Input {
    name: CString,
    kind: c_int,
    shape: Vec<i64>,
    data: Vec<u8>,
}

struct Model {
    api: Api,
    session: Handle,
    memory: Handle,
}

fn text(value: &str) -> CString {
    CString::new(value).expect("a name without a zero byte")
}

unsafe fn open(library: &str, file: &str) -> Result<Model, String> {
    let loaded = dlopen(text(library).as_ptr(), 2);
    if loaded.is_null() {
        return Err(format!("{library} cannot be loaded"));
    }
    let symbol = dlsym(loaded, text("OrtGetApiBase").as_ptr());
    if symbol.is_null() {
        return Err(format!("{library} has no OrtGetApiBase"));
    }
    let base: unsafe extern "C" fn() -> *const ApiBase = mem::transmute(symbol);
    let api = Api(((*base()).get_api)(7));
    if api.0.is_null() {
        return Err("ONNX Runtime does not answer this version of its API".into());
    }
    let (mut environment, mut options) = (ptr::null_mut(), ptr::null_mut());
    let (mut session, mut memory) = (ptr::null_mut(), ptr::null_mut());
    let create: unsafe extern "C" fn(c_int, *const c_char, *mut Handle) -> Handle = api.slot(3);
    api.check(create(3, text("program").as_ptr(), &mut environment))?;
    let create: unsafe extern "C" fn(*mut Handle) -> Handle = api.slot(10);
    api.check(create(&mut options))?;
    let optimise: unsafe extern "C" fn(Handle, c_int) -> Handle = api.slot(23);
    api.check(optimise(options, 99))?;
    let threads: unsafe extern "C" fn(Handle, c_int) -> Handle = api.slot(24);
    api.check(threads(options, 1))?;
    let create: unsafe extern "C" fn(Handle, *const c_char, Handle, *mut Handle) -> Handle =
        api.slot(7);
    api.check(create(environment, text(file).as_ptr(), options, &mut session))?;
    let create: unsafe extern "C" fn(c_int, c_int, *mut Handle) -> Handle = api.slot(69);
    api.check(create(1, 0, &mut memory))?;
    Ok(Model { api, session, memory })
}

impl Model {
    unsafe fn wrap(&self, input: &mut Input) -> Result<Handle, String> {
        type Wrap = unsafe extern "C" fn(
            Handle, *mut u8, usize, *const i64, usize, c_int, *mut Handle,
        ) -> Handle;
        let wrap: Wrap = self.api.slot(49);
        let mut value = ptr::null_mut();
        self.api.check(wrap(
            self.memory,
            input.data.as_mut_ptr(),
            input.data.len(),
            input.shape.as_ptr(),
            input.shape.len(),
            input.kind,
            &mut value,
        ))?;
        Ok(value)
    }

    /// Returns element type, shape and data of a value.
    unsafe fn read(&self, value: Handle) -> Result<(c_int, Vec<i64>, Vec<u8>), String> {
        let (mut info, mut data) = (ptr::null_mut(), ptr::null_mut());
        let (mut kind, mut rank) = (0, 0usize);
        let ask: unsafe extern "C" fn(Handle, *mut Handle) -> Handle = self.api.slot(65);
        self.api.check(ask(value, &mut info))?;
        let ask: unsafe extern "C" fn(Handle, *mut c_int) -> Handle = self.api.slot(60);
        self.api.check(ask(info, &mut kind))?;
        let ask: unsafe extern "C" fn(Handle, *mut usize) -> Handle = self.api.slot(61);
        self.api.check(ask(info, &mut rank))?;
        let mut shape = vec![0i64; rank];
        let ask: unsafe extern "C" fn(Handle, *mut i64, usize) -> Handle = self.api.slot(62);
        self.api.check(ask(info, shape.as_mut_ptr(), rank))?;
        let ask: unsafe extern "C" fn(Handle, *mut Handle) -> Handle = self.api.slot(51);
        self.api.check(ask(value, &mut data))?;
        let width = match kind {
            1 | 6 => 4,
            7 | 11 => 8,
            2 | 9 => 1,
            _ => return Err(format!("an output has the element type {kind}")),
        };
        let bytes = shape.iter().product::<i64>() as usize * width;
        Ok((kind, shape, slice::from_raw_parts(data as *const u8, bytes).to_vec()))
    }

    unsafe fn call(
        &self,
        inputs: &mut [Input],
        outputs: &[(CString, String)],
    ) -> Result<(), String> {
        type Run = unsafe extern "C" fn(
            Handle, Handle, *const *const c_char, *const Handle, usize, *const *const c_char,
            usize, *mut Handle,
        ) -> Handle;
        let mut values = Vec::new();
        for input in inputs.iter_mut() {
            values.push(self.wrap(input)?);
        }
        let input_names: Vec<_> = inputs.iter().map(|input| input.name.as_ptr()).collect();
        let output_names: Vec<_> = outputs.iter().map(|(name, _)| name.as_ptr()).collect();
        let mut answers: Vec<Handle> = vec![ptr::null_mut(); outputs.len()];
        let run: Run = self.api.slot(9);
        self.api.check(run(
            self.session,
            ptr::null_mut(),
            input_names.as_ptr(),
            values.as_ptr(),
            values.len(),
            output_names.as_ptr(),
            outputs.len(),
            answers.as_mut_ptr(),
        ))?;
        let release: unsafe extern "C" fn(Handle) = self.api.slot(96);
        for (answer, (_, path)) in answers.iter().zip(outputs) {
            let (kind, shape, data) = self.read(*answer)?;
            fs::File::create(path)
                .and_then(|mut file| file.write_all(&data))
                .map_err(|e| format!("{path}: {e}"))?;
            let sizes: Vec<_> = shape.iter().map(|size| size.to_string()).collect();
            println!("{kind}\t{}", sizes.join(","));
        }
        values.into_iter().chain(answers).for_each(|value| release(value));
        Ok(())
    }
}

fn run() -> Result<(), String> {
    let words: Vec<String> = std::env::args().collect();
    let [_, library, file, job] = &words[..] else {
        return Err("usage: run LIBRARY MODEL JOB".into());
    };
    let model = unsafe { open(library, file)? };
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for line in fs::read_to_string(job).map_err(|e| format!("{job}: {e}"))?.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        match fields[..] {
            ["input", name, kind, shape, path] => inputs.push(Input {
                name: text(name),
                kind: kind.parse().map_err(|_| format!("{kind} is no type"))?,
                shape: shape
                    .split(',')
                    .filter(|size| !size.is_empty())
                    .map(|size| size.parse().map_err(|_| format!("{size} is no size")))
                    .collect::<Result<_, String>>()?,
                data: fs::read(path).map_err(|e| format!("{path}: {e}"))?,
            }),
            ["output", name, path] => outputs.push((text(name), path.to_string())),
            ["run"] => {
                unsafe { model.call(&mut inputs, &outputs)? };
                inputs.clear();
                outputs.clear();
            }
            _ => return Err(format!("the job has a line that is none: {line}")),
        }
    }
    Ok(())
}

fn main() {
    if let Err(what) = run() {
        eprintln!("error: {what}");
        std::process::exit(1);
    }
}
