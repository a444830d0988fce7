export default {
  mode: 'production',
  optimization: { minimize: false }, // saves half of the time
  target: 'webworker',
  entry: './web-worker.js',
  output: { filename: 'web-worker.js' },
}
