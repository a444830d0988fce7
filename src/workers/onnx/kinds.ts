/** Recognises files that are not ONNX models, for error messages. It is imported only after a model could not be loaded. */

const HEAD = 512

/** Where bytes came from: a page's request, another request, or a file. */
export type ModelSource = 'page' | 'request' | 'file'

const PAGE = 'an HTML page'

/** The first bytes of files that users confuse with ONNX models. */
const KINDS: readonly [RegExp, string][] = [
  [/^$/, 'an empty file'],
  [/^version https:\/\/git-lfs/, "a pointer of git-lfs: 'git lfs pull' fetches the file itself"],
  [/^(\xef\xbb\xbf)?\s*[{[]\s*["{[\]}\d]/, 'JSON, as servers answer with an error: read what it says'],
  [/^\s*(<!--.*?-->\s*)?<(!doctype html|html|head|body)\b/is, PAGE],
  [/^(\xef\xbb\xbf)?\s*<\?xml/, 'an XML document'],
  [/^PK\x03\x04/, 'a zip archive, as PyTorch saves them: torch.onnx.export writes an ONNX model'],
  [/^\x1f\x8b/, 'a gzip archive: unpack it first'],
  [/^\x89HDF/, 'an HDF5 file, as Keras saves them: tf2onnx writes an ONNX model'],
  [/^....TFL3/s, 'a TensorFlow Lite model: tf2onnx writes an ONNX model'],
  [/^\x80[\x02-\x05]/, 'a Python pickle: torch.onnx.export writes an ONNX model'],
  [/^\x08[\x01-\x20]/, 'what begins as one and cannot be read to its end: it is damaged or cut off, so fetch it again'], // ir_version, the first field of an ONNX file
]

/** A page of HTML comes with status 200, so that nothing else tells what went wrong. */
const HTML: Record<ModelSource, (name: string) => string> = {
  page: (name) =>
    `, as dev servers answer where they have no such file; with Vite: import url from './${name}?url', and model: url`,
  request: () =>
    ', as servers answer where they have no such file or want a login; on the Hugging Face Hub files are under /resolve/',
  file: () => ', saved in the place of the file; on the Hugging Face Hub files are under /resolve/, not /blob/',
}

/** @param where  undefined for bytes of unknown origin */
export function kindOf(bytes: Uint8Array, where?: { from: ModelSource; name: string }): string {
  const head = Array.from(bytes.subarray(0, HEAD))
  const text = String.fromCharCode(...head)
  const known = KINDS.find(([beginning]) => beginning.test(text))
  if (known) return known[1] + (where && known[1] === PAGE ? HTML[where.from](where.name) : '')
  if (/^[\t\n\r\x20-\x7e]+$/.test(text)) return `a text of ${bytes.length} bytes`
  const first = head.slice(0, 4).map((byte) => byte.toString(16).padStart(2, '0'))
  return `${bytes.length} bytes that begin with ${first.join(' ')}`
}
