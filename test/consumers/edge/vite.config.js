export default {
  ssr: { target: 'webworker', noExternal: true },
  build: { ssr: 'main.js' },
}
