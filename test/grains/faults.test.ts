/** Errors that cross the wire. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ClusterError } from '../../src/errors.ts'
import { decodeFault, encodeFault, errorOf, faultOf, faultOfThrown } from '../../src/grains/faults.ts'

const details = { kind: 'counter', key: 'likes', method: 'add', attempts: 2, mayHaveRun: true }
const across = (thrown: unknown, stacks = false): ClusterError =>
  errorOf(decodeFault(encodeFault(faultOfThrown(thrown, stacks))), details)

describe('what a handler threw', () => {
  it('arrives as name, message and data', () => {
    const error = across(Object.assign(new RangeError('too far'), { data: { max: 5 } }))
    expect(error).toBeInstanceOf(ClusterError)
    expect(error).toMatchObject({ code: 'grain-threw', ...details })
    expect(error.message).toBe('counter/likes.add threw RangeError: too far')
    expect(error.cause).toBeInstanceOf(Error)
    expect(error.cause).toMatchObject({ name: 'RangeError', message: 'too far', data: { max: 5 } })
  })

  it('that is no error is shown by its fields, cut short, and is data as a whole', () => {
    const error = across({ code: 42, why: 'x'.repeat(500) })
    expect(error.message).toMatch(/^counter\/likes\.add threw Error: \{"code":42,"why":"x{150,200}…$/)
    expect(error.cause).toMatchObject({ data: { code: 42, why: 'x'.repeat(500) } })
    const circle: { self?: unknown } = {}
    circle.self = circle
    expect(across(circle).message).toBe('counter/likes.add threw Error: [object Object]')
    expect(across({ toString: () => 'mine' }).message).toBe('counter/likes.add threw Error: mine')
  })

  it('brings its stack only where that is asked for', () => {
    const here = /faults\.test/
    expect((across(new Error('x')).cause as Error).stack).not.toMatch(here)
    expect((across(new Error('x'), true).cause as Error).stack).toMatch(here)
  })

  it.each<[string, unknown]>([
    ['a text', 'text'],
    ['nothing', undefined],
    ['a symbol', Symbol('x')],
    ['an object without prototype', Object.create(null)],
    [
      'a hostile error',
      Object.defineProperty(new Error('x'), 'message', {
        get: () => {
          throw new Error('y')
        },
      }),
    ],
    [
      'data in a circle',
      Object.assign(new Error('x'), {
        data: (() => {
          const a: unknown[] = []
          a.push(a)
          return a
        })(),
      }),
    ],
    ['much data', Object.assign(new Error('x'), { data: 'x'.repeat(100_000) })],
    ['a long message', new Error('x'.repeat(100_000))],
  ])('may be %s', (_name, thrown) => {
    const bytes = encodeFault(faultOfThrown(thrown))
    expect(bytes.length).toBeLessThan(24_000)
    expect(errorOf(decodeFault(bytes), details).code).toBe('grain-threw')
  })

  it('is told apart from an answer of the host', () => {
    expect(across(new ClusterError('deadlock', 'no')).cause).toMatchObject({
      name: 'ClusterError',
      data: { code: 'deadlock' },
    })
    const issues = [{ path: 'args[0]', message: 'No number' }]
    const fault = faultOf(new ClusterError('invalid-arguments', 'args[0]: No number', { issues }))
    expect(errorOf(decodeFault(encodeFault(fault)), details)).toMatchObject({
      code: 'invalid-arguments',
      message: 'counter/likes.add: args[0]: No number',
      issues,
    })
  })
})

describe('bytes of an error', () => {
  it('are read whatever they are', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 50 }),
      fc.json().map((text) => new TextEncoder().encode(text)),
      fc
        .record({
          code: fc.anything(),
          message: fc.anything(),
          issues: fc.anything(),
          __proto__: fc.anything(),
        })
        .map((value) => {
          try {
            return new TextEncoder().encode(JSON.stringify(value))
          } catch {
            return new Uint8Array(0)
          }
        }),
    )
    fc.assert(
      fc.property(bytes, (given) => {
        expect(errorOf(decodeFault(given), details)).toBeInstanceOf(ClusterError)
      }),
      { numRuns: 500 },
    )
  })

  it('may not claim a code that is not theirs to claim', () => {
    const bytes = new TextEncoder().encode('{"code":"left","message":"x"}')
    expect(decodeFault(bytes)).toEqual({ code: 'grain-threw', message: 'x' })
  })
})
