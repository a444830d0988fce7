/** What runs inside a worker, whichever it is to be: one that answers queries, or the one that keeps memories. */

import { platform } from '#platform'
import { serveMemories } from './memory/server'
import { serveModel } from './workers/local/entry'
import { sayHello } from './workers/local/messages'

const parent = platform.parent()
sayHello(parent)
serveMemories(parent)
serveModel(parent)
