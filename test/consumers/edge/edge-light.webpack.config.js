export default {
  mode: 'production',
  optimization: { minimize: false }, // saves half of the time
  target: 'webworker',
  entry: './main.js',
  resolve: { conditionNames: ['edge-light', '...'] },
  module: { parser: { javascript: { dynamicImportMode: 'eager' } } }, // the Edge Runtime loads no other scripts
}
