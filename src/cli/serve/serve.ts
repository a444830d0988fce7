/** approxifer serve: models behind the Open Inference Protocol, until somebody says stop. */

import { readFile } from 'node:fs/promises'
import { createGateway } from '../../create'
import { note } from '../terminal'
import { type Config, type Flags, readConfig } from './config'
import { Events } from './events'
import { predictorOptions } from './fleet'
import { pathOf, readTokens, withOrigins, withToken } from './guard'
import { type Handler, listen, problem } from './listen'
import { openLog } from './log'
import { Metrics } from './metrics'
import { observer } from './observe'
import { Spans } from './spans'
