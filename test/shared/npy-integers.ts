/** The int64 values of an .npy file, whatever their shape. */
export function openNpy(file: Buffer): BigInt64Array {
  const header = 10 + file.readUInt16LE(8)
  return new BigInt64Array(new Uint8Array(file.subarray(header)).buffer)
}
