// What a test is about, for the table of runtimes: from the folder of its file or, in test/browser and test/runtimes, from the file's name.

/** Each a column of the table in docs/reference/runtimes.md. */
export const SUBJECTS = {
  codec: /^(codec|core|runtimes\/codec)\b/,
  predictor: /^(predictor|(runtimes|browser)\/predictor)\b/,
  'local workers': /^(workers\/(local|onnx)|browser\/worker)\b/,
  HTTP: /^(workers\/http|(runtimes|browser)\/http)\b/,
  NATS: /^(workers\/nats|(runtimes|browser)\/nats)\b/,
  gateway: /^(gateway|runtimes\/gateway)\b/,
  memory: /^(memory|runtimes\/memory)\b/,
}

/** @param file  path of a test file @returns a key of SUBJECTS, or undefined */
export function subjectOf(file) {
  const path = file.replaceAll('\\', '/').split('/test/').at(-1)
  return Object.keys(SUBJECTS).find((name) => SUBJECTS[name].test(path))
}
