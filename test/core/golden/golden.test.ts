/**
 * Golden frames: bytes that were written once and must be read for ever. `GOLDEN_WRITE=1 npx vitest run
 * test/core/golden` writes the files anew, which is right only together with a new wire version.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Decoded } from '../../../src/core/wire/codec.ts'
import { decodeMessage, encodeFrame, encodeMessage } from '../../../src/core/wire/codec.ts'
import type { Envelope } from '../../../src/core/wire/frames.ts'
import { KIND_OF } from '../../../src/core/wire/kinds.ts'
import { fromHex, toHex } from './hex.ts'
import { SAMPLES } from './samples.ts'

const folder = path.join(import.meta.dirname, 'frames')
const fileOf = (name: string): string => path.join(folder, `${name}.hex`)

if (process.env['GOLDEN_WRITE']) {
  for (const [name, { frame, route }] of Object.entries(SAMPLES)) {
    writeFileSync(fileOf(name), toHex(encodeFrame(frame, route)))
  }
}

const read = (name: string): Envelope => ({ ...SAMPLES[name]!, size: golden(name).length })

const golden = (name: string): Uint8Array => fromHex(readFileSync(fileOf(name), 'utf8'))

const viewless = ({ route, frame, size }: Envelope): Envelope =>
  route ? { route, frame, size } : { frame, size }

/** What was decoded, without the views on bytes that routed frames carry to be passed on. */
const withoutViews = (result: Decoded): unknown =>
  result.ok ? { ok: true, envelopes: result.envelopes.map((envelope) => viewless(envelope)) } : result

describe('golden frames', () => {
  it('are there for every kind, and no others', () => {
    const files = readdirSync(folder).map((file) => path.basename(file, '.hex'))
    expect(files.sort()).toEqual(Object.keys(SAMPLES).sort())
    const kinds = new Set(Object.values(SAMPLES).map(({ frame }) => frame.kind))
    expect([...kinds].sort()).toEqual(Object.keys(KIND_OF).sort())
  })

  it.each(Object.keys(SAMPLES))('%s is decoded, and encoded to the same bytes', (name) => {
    const bytes = golden(name)
    const result = decodeMessage(encodeMessage([bytes]))
    expect(withoutViews(result)).toEqual({ ok: true, envelopes: [read(name)] })
    if (!result.ok) return
    const { frame, route } = result.envelopes[0]!
    expect(toHex(encodeFrame(frame, route))).toBe(toHex(bytes))
  })

  it('together are one message', () => {
    const names = Object.keys(SAMPLES)
    const result = decodeMessage(encodeMessage(names.map(golden)))
    expect(withoutViews(result)).toEqual({ ok: true, envelopes: names.map(read) })
  })
})
