/** Bytes as the golden files hold them: lower-case hex, 32 bytes a line. */
export function toHex(bytes: Uint8Array): string {
  const lines: string[] = []
  for (let at = 0; at < bytes.length; at += 32) {
    const words = Array.from(bytes.subarray(at, at + 32), (byte) => byte.toString(16).padStart(2, '0'))
    lines.push(words.join(' '))
  }
  return `${lines.join('\n')}\n`
}

export const fromHex = (text: string): Uint8Array =>
  Uint8Array.from(text.split(/\s+/).filter(Boolean), (byte) => Number.parseInt(byte, 16))
