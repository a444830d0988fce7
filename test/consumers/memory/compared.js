// A memory in a thread of its own, and one in this thread, which were taught the same: whether they say the same, to the bit.

const LESSONS = 200
const spec = (name, length) => [{ name, shape: [length] }]

/** Numbers that all engines make alike. */
function numbers(seed) {
  let state = seed
  return (length) =>
    Float32Array.from({ length }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) | 0
      return state / 2 ** 30
    })
}

/** On a busy machine a thread may take longer for a lookup than anybody waits. */
async function recovered(predictor, query) {
  for (;;) {
    try {
      return await predictor.predict(query.slice(), { minConfidence: 0.01 })
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
}

async function said(createPredictor, more) {
  const [vectors, warnings] = [numbers(1), []]
  let isLost = false
  const workers = ['a', 'b'].map((name) => ({
    ...{ name, free: true, onFree: undefined, signature: { inputs: spec('x', 4), outputs: spec('y', 3) } },
    infer: async ([{ data }]) => {
      if (isLost) throw new Error('lost')
      return [{ data: Float32Array.of(data[0], data[1], 0.5 * data[0] - data[3]), shape: [3] }]
    },
    close: async () => {},
  }))
  const options = { workers, policy: 'auto', right: 'label', hedge: false, verify: { audit: 0 } }
  const predictor = await createPredictor({ ...options, onWarning: (text) => warnings.push(text), ...more })
  if (more.testing) await predictor.predict(numbers(2)(4)) // the first lesson finds that there is no thread, and is lost
  for (let i = 0; i < LESSONS; i++) {
    await predictor.predict(vectors(4))
    await predictor.save() // behind what was to be learned: none is passed over
  }
  isLost = true
  const answers = []
  for (let i = 0; i < 20; i++) {
    const { status, output, confidence } = await recovered(predictor, vectors(4))
    answers.push([status, ...output.y.data, confidence].join())
  }
  await predictor.close()
  return { answers, warnings }
}

const refused = () => {
  throw new Error('refused')
}

/** How many of twenty answers are equal, and the warnings of both. */
export async function compared(createPredictor) {
  const own = await said(createPredictor, {})
  const here = await said(createPredictor, { testing: { memoryThread: refused } })
  const equal = own.answers.filter((answer, i) => answer === here.answers[i] && answer.startsWith('recovered')).length
  return `${equal} of 20 equal; warnings: ${own.warnings.length}, ${here.warnings.length}`
}
