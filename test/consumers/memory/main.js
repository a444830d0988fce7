import { compared } from './compared.js'

console.log(await compared())
