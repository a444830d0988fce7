/** The native runtime has the same interface. It is large, so only test/models installs it, and never its types. */
declare module 'onnxruntime-node' {
  export * from 'onnxruntime-web'
}
