/** The script of every thread and Web Worker: it serves a model or memories, whichever the parent's messages ask for. */

import { platform } from '#platform'
import { serveMemories } from './memory/server'
import { serveModel } from './workers/local/entry'
import { sayHello } from './workers/local/messages'

const parent = platform.parent()
sayHello(parent)
serveMemories(parent)
serveModel(parent)
