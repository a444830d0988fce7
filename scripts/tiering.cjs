// Loaded before the tests' programs, and before what they start. V8 compiles the functions of WebAssembly anew that have run for about as many
// bytes of code as this; with its own budget of 1.8 MB a process that reads twenty digits compiles a hundred functions of onnxruntime-web,
// which takes 2 s, also after its last line, since Node's end waits for it. What is computed is the same to the bit.
require('node:v8').setFlagsFromString('--wasm-tiering-budget=100000000')
