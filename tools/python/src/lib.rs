//! What the Python package `mote` is made of: the types of `mote_tools` as Python objects. Arrays come in as NumPy's and are read where they
//! lie; they go out as bytes, which the package beside it (`python/mote`) makes NumPy arrays of, without a copy.

mod array;
mod convert;
mod error;
mod model;
mod options;
mod picture;
mod policy;
mod shards;
mod work;

use pyo3::prelude::*;

#[pymodule]
fn _mote(module: &Bound<'_, PyModule>) -> PyResult<()> {
    work::loaded();
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<model::Model>()?;
    module.add_function(wrap_pyfunction!(convert::convert, module)?)?;
    module.add_function(wrap_pyfunction!(convert::boards, module)?)?;
    module.add_function(wrap_pyfunction!(convert::layout, module)?)?;
    module.add_function(wrap_pyfunction!(convert::write_page, module)?)?;
    module.add_function(wrap_pyfunction!(picture::png, module)?)?;
    module.add_function(wrap_pyfunction!(picture::write_png, module)?)?;
    module.add_function(wrap_pyfunction!(policy::policy, module)?)?;
    module.add_function(wrap_pyfunction!(shards::merge, module)?)?;
    module.add_function(wrap_pyfunction!(shards::sample_part, module)?)?;
    module.add_function(wrap_pyfunction!(shards::statistics, module)?)?;
    error::register(module)
}
