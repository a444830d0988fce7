export default {
  ssr: { target: 'webworker', noExternal: true, resolve: { conditions: ['edge-light'] } },
  build: { ssr: 'main.js' },
}
