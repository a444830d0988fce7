/** A process of bench latency: makes the runs that it is sent. */

import process from 'node:process'
import { type Costs, type Job, simulate } from './latency-run'

process.on('message', async ({ job, costs }: { job: Job; costs: Costs }) => process.send?.(await simulate(job, costs)))
