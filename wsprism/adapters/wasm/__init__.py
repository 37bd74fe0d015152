"""Services that are WebAssembly modules (docs/services.md).

``wasmtime`` is imported with the modules of this package, and they only where a WebAssembly module is configured.
"""
