export default {
  worker: { format: 'es' },
  optimizeDeps: { exclude: ['approxifer', 'onnxruntime-web'] },
}
