/** Four digits of MNIST, read by a predictor and shown. */
export async function showDigits(predictor) {
  const npy = new Uint8Array(await (await fetch('/mnist-digits.npy')).arrayBuffer())
  const pixels = npy.subarray(-400 * 784) // behind the header: 400 images of 28 x 28 bytes
  const image = (i) => Float32Array.from(pixels.subarray(784 * i, 784 * (i + 1)), (byte) => byte / 255)
  const predictions = await predictor.predictAll([0, 1, 2, 3].map(image))
  const digit = ({ output }) => output.logits.data.indexOf(Math.max(...output.logits.data))
  document.body.textContent = predictions.map(digit).join(' ')
}
