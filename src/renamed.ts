/** What options were called before, and what to write now: an old name is an error that says the new one. */

const into = (group: string, ...names: string[]) =>
  Object.fromEntries(names.map((name) => [name, `${group}: { ${name} }`]))

export const predictor = {
  ...into('scheme', 'preset'),
  ...into('verify', 'integrity', 'audit', 'rounding'),
  ...into('onnx', 'outputs', 'inputShapes', 'runtime', 'providers', 'wasmPaths', 'createWorker', 'startMs'),
  ...into('testing', 'clock', 'seed', 'core'),
  hedges: 'hedge: { budget }, or hedge: false for 0',
  patience: 'hedge: { budget }: when another worker is asked is learned',
  state: 'memory: { state }',
  unfitState: 'memory: { unfit }',
  maxQueries: 'limits: { queries }',
  maxBatch: 'limits: { batch }',
  partitions: 'limits: { tenants }',
}
export const predict = { partition: 'tenant' }
export const localWorkers = { count: 'workers' }
/** Of an HTTP worker. */
export const probe = { row: 'query' }
/** Parameters of a request for inference. */
export const request = { partition: 'tenant' }
/** Flags of the command line. */
export const flags = { '--partitions': '--tenants' }
