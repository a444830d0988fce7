import { createPredictor } from 'approxifer'
import { compared } from './compared.js'

console.log(await compared(createPredictor))
