/** What options were called before, and what to write now: an old name is an error that says the new one. */

export const renamed = {
  predict: { partition: 'tenant' },
  localWorkers: { count: 'workers' },
  /** Parameters of a request for inference. */
  request: { partition: 'tenant' },
  /** Flags of the command line. */
  flags: { '--partitions': '--tenants' },
}
