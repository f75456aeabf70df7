/** What the codec carries, what it refuses and how it says so, and that no bytes harm it. */
import { readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { root } from '../../scripts/support/paths.mjs'
import { ClusterError } from '../../src/errors.ts'
import { valueCodec } from '../../src/grains/codec.ts'
import { MAX_BIGINT_DIGITS, MAX_DEPTH } from '../../src/grains/survey.ts'

const roundTrip = (value: unknown): unknown => valueCodec.decode(valueCodec.encode(value, 'value'), 'value')

/** The message of the refusal. */
function refusal(use: () => unknown): string {
  try {
    use()
  } catch (error) {
    expect(error).toBeInstanceOf(ClusterError)
    expect((error as ClusterError).code).toBe('invalid-value')
    return (error as ClusterError).message
  }
  throw new Error('It was accepted.')
}

/** What is carried, as refusals tell. */
const LIST = 'objects, arrays, texts, numbers, booleans, null, undefined, bigints, dates, maps, sets, buffers'

const encodeRefusal = (value: unknown): string => refusal(() => valueCodec.encode(value, 'args'))

/** Bytes of text behind a first byte. */
const bytesOf = (tag: number, text: string): Uint8Array =>
  Uint8Array.from([tag, ...new TextEncoder().encode(text)])
const decodeRefusal = (bytes: Uint8Array): string => refusal(() => valueCodec.decode(bytes, 'args'))

/** An array of that length with one element. */
const holes = (length: number): unknown[] => Object.assign([1], { length })

/** The one key that is refused makes a test of its own. */
const plainJson = fc
  .jsonValue({ maxDepth: 6 })
  .filter((given) => !JSON.stringify(given).includes('"__proto__":'))

describe('values that are carried', () => {
  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['numbers', [0, -0, 1.5, Number.NaN, Infinity, -Infinity, 2 ** 53]],
    ['a text with lone surrogates', ['\uD800', 'a\uDC00b', '\uFEFFmark', '\u2028']],
    [
      'lone surrogates beside what JSON cannot carry',
      [new Date(0), 'a\uD800', { 'k\uDC00': new Map([['\uDBFF', '\uDFFF']]) }],
    ],
    ['undefined inside', { a: undefined, b: [undefined] }],
    ['bigint', [0n, -5n, 10n ** 30n]],
    ['dates', [new Date(0), new Date(Number.NaN), new Date(8.64e15)]],
    [
      'a map',
      new Map<unknown, unknown>([
        ['a', 1],
        [{ k: 1 }, new Set([1])],
        [Number.NaN, -0],
      ]),
    ],
    ['a set', new Set([1, 'a', undefined])],
    ['an object without prototype', Object.assign(Object.create(null) as object, { a: 1 })],
    ['an object with awkward keys', { constructor: 1, toString: 2, '': 3, 'a b': 4, hasOwnProperty: 5 }],
    ['a buffer', new Uint8Array([1, 2, 3]).buffer],
    ['holes', [1, , 3]], // oxlint-disable-line no-sparse-arrays
    ['many holes', holes(500)],
    ['typed arrays', [new Float64Array([Number.NaN, -0]), new BigInt64Array([-1n]), new Uint16Array(0)]],
    ['a view of data', new DataView(new Uint8Array([9, 8]).buffer)],
  ])('%s', (_name, value) => {
    expect(roundTrip(value)).toStrictEqual(value)
    expect(roundTrip([{ value }])).toStrictEqual([{ value }])
  })

  it('keeps what is met twice, and circles', () => {
    const owner = { name: 'Ada' }
    const bytes = new Uint8Array([1, 2])
    const [a, b, c, d] = roundTrip([owner, owner, bytes, bytes]) as unknown[]
    expect(a).toBe(b)
    expect(c).toBe(d)
    const circle: { self?: unknown; map?: unknown } = {}
    circle.self = circle
    circle.map = new Map([['me', circle]])
    const back = roundTrip(circle) as { self: unknown; map: Map<string, unknown> }
    expect(back.self).toBe(back)
    expect(back.map.get('me')).toBe(back)
  })

  it('sends a view, not the rest of its buffer', () => {
    const whole = new Uint8Array(4_096).fill(7)
    const encoded = valueCodec.encode(whole.subarray(10, 12), 'value')
    expect(encoded.length).toBeLessThan(32)
    const back = valueCodec.decode(encoded, 'value') as Uint8Array
    expect([...back]).toEqual([7, 7])
    expect(back.buffer.byteLength).toBe(2)
    expect(roundTrip(Buffer.from('ab'))).toStrictEqual(new Uint8Array([97, 98]))
  })

  it('carries bytes with a few bytes of its own', () => {
    expect(valueCodec.encode([new Uint8Array(65_536)], 'value').length).toBeLessThan(65_536 + 32)
  })

  it('gives back whatever JavaScript has of these', () => {
    const leaf = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.double(),
      fc.bigInt({ min: -(10n ** 40n), max: 10n ** 40n }),
      fc.boolean(),
      fc.constantFrom(null, undefined, -0),
      fc.date(),
      fc.uint8Array({ maxLength: 20 }),
      fc.float64Array({ maxLength: 5 }),
      fc.bigInt64Array({ maxLength: 5 }),
    )
    const { value } = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        leaf,
        fc.array(tie('value'), { maxLength: 5 }),
        fc.dictionary(
          fc.string().filter((key) => key !== '__proto__'),
          tie('value'),
          { maxKeys: 5 },
        ),
        fc
          .array(fc.tuple(fc.oneof(fc.string(), fc.integer(), tie('value')), tie('value')), { maxLength: 4 })
          .map((entries) => new Map(entries)),
        fc.array(tie('value'), { maxLength: 4 }).map((items) => new Set(items)),
      ),
    }))
    fc.assert(
      fc.property(value, (given) => {
        expect(roundTrip(given)).toStrictEqual(given)
      }),
      { numRuns: 500 },
    )
  })

  it('carries texts of every length and alphabet', () => {
    for (const letter of ['a', '\u007f', '\u0080', 'é', '語', '😀', '\u0000']) {
      for (const length of [0, 1, 62, 63, 64, 65, 125, 126, 127, 128, 129, 300, 2_000]) {
        for (const text of [
          letter.repeat(length),
          `${'x'.repeat(length)}${letter}`,
          `${letter}${'x'.repeat(length)}`,
        ]) {
          expect(roundTrip(text)).toBe(text)
        }
      }
    }
  })

  it('gives back plain JSON', () => {
    fc.assert(
      fc.property(plainJson, (given) => {
        // what JSON.stringify makes of -0 is not what is carried here
        expect(roundTrip(given)).toStrictEqual(given)
      }),
    )
  })
})

describe('values that are refused', () => {
  class Account {
    owner = 'Ada'
  }
  const node = Object.create({}, { nodeType: { value: 1 }, nodeName: { value: 'DIV' } }) as object
  it.each<[string, unknown]>([
    ['args[0].owner.save is a function', [{ owner: { save: () => {} } }]],
    ['args[0] is a symbol', [Symbol('x')]],
    ['args[1].account is an instance of Account', [1, { account: new Account() }]],
    ['args[0] is a promise: await it first', [Promise.resolve(1)]],
    ['args[0] is a DOM node, DIV', [node]],
    ['args[0]["a b"] is a function', [{ 'a b': () => {} }]],
    ['args[0].get("k").f is a function', [new Map([['k', { f: () => {} }]])]],
    ['args[0].value(1) is a function', [new Set([1, () => {}])]],
    ['args[0] is an instance of RegExp', [/x/]],
    ['args[0] is an instance of Error', [new Error('x')]],
    ['args[0] is an instance of WeakMap', [new WeakMap()]],
    ['args[0] is an instance of Later', [new (class Later extends Map {})()]],
    ['args[0] is an instance of List', [new (class List extends Array {})()]],
    ['args[0] has the key __proto__', [JSON.parse('{"__proto__":{"x":1}}')]],
    ['args[0] is an array with fields of its own', [Object.assign([1], { extra: 1 })]],
    ['args[0] has holes and a length of 100001, over 100000', [holes(100_001)]],
    [
      'args[1].b has holes and a length of 60000, with those before it 120000, over 100000',
      [{ a: holes(60_000) }, { b: holes(60_000) }],
    ],
    [`args[0] is a bigint of more than ${MAX_BIGINT_DIGITS} digits`, [10n ** 5_000n]],
  ])('%s', (message, value) => {
    expect(encodeRefusal(value)).toBe(`${message}. Give plain data: ${LIST} and typed arrays.`)
  })

  it('names what is too deep, and a getter that throws', () => {
    let deep: unknown = 1
    for (let i = 0; i < MAX_DEPTH; i++) deep = [deep]
    expect(roundTrip(deep)).toStrictEqual(deep)
    expect(encodeRefusal([deep])).toMatch(
      /^args\[0\]\[0\].*… is nested deeper than 128 levels\. Give plain data: /,
    )
    expect(encodeRefusal([new Map([['a', deep]])])).toContain('nested deeper')
    const trap = {
      get a(): number {
        throw new Error('no')
      },
    }
    expect(encodeRefusal([trap])).toBe('args cannot be read: no')
    expect(encodeRefusal([{ [Symbol('s')]: 1 }])).toContain('has a symbol as key')
  })
})

describe('hostile bytes', () => {
  it('never throw anything else, and never reach a prototype', () => {
    const mutated = fc
      .tuple(
        fc.anything({ withMap: true, withSet: true, withTypedArray: true, withBigInt: true }),
        fc.nat(),
        fc.nat(255),
      )
      .map(([value, at, byte]) => {
        try {
          const bytes = valueCodec.encode([value, new Uint8Array(3), 1n], 'value')
          bytes[at % bytes.length] = byte
          return bytes
        } catch {
          return Uint8Array.of(byte)
        }
      })
    const text = fc.tuple(fc.constantFrom(1, 2, 3), fc.json()).map(([tag, json]) => bytesOf(tag, json))
    const noise = fc
      .tuple(fc.nat(4), fc.uint8Array({ maxLength: 60 }))
      .map(([tag, rest]) => Uint8Array.of(tag, ...rest))
    const keys = Object.getOwnPropertyNames(Object.prototype).join()
    fc.assert(
      fc.property(fc.oneof(mutated, text, noise), (bytes) => {
        try {
          valueCodec.decode(bytes, 'args')
        } catch (error) {
          expect(error).toBeInstanceOf(ClusterError)
        }
      }),
      { numRuns: 2_000 },
    )
    expect(Object.getOwnPropertyNames(Object.prototype).join()).toBe(keys)
  })

  it.each<[string, Uint8Array]>([
    ['no bytes', new Uint8Array(0)],
    ['an unknown first byte', Uint8Array.of(9, 1)],
    ['bytes behind nothing', Uint8Array.of(0, 1)],
    ['broken UTF-8', Uint8Array.of(1, 0x22, 0xff, 0x22)],
    ['a prototype in JSON', bytesOf(1, '{"a":{"__proto__":{"x":1}}}')],
    ['a prototype in disguise', bytesOf(1, String.raw`{"\u005f_proto__":{"x":1}}`)],
    ['a prototype in flat form', bytesOf(2, '[{"__proto__":1},{"x":2},1]')],
    ['a prototype without prototype', bytesOf(2, '[["null","__proto__",1],1]')],
    ['deep JSON', bytesOf(1, '['.repeat(1_000) + ']'.repeat(1_000))],
    ['very deep JSON', bytesOf(1, '['.repeat(200_000))],
    [
      'a deep flat form',
      bytesOf(2, JSON.stringify(Array.from({ length: 1_000 }, (_, i) => [i + 1]).concat([[0]]))),
    ],
    ['a regular expression', bytesOf(2, '[["RegExp","(a+)+$"]]')],
    ['a URL', bytesOf(2, '[["URL","https://example.com"]]')],
    ['a boxed value', bytesOf(2, '[["Object",1],1]')],
    ['a buffer in text', bytesOf(2, '[["ArrayBuffer","AAAA"]]')],
    ['an array of four billion', bytesOf(2, '[[-7,4294967295]]')],
    ['an array of less than nothing', bytesOf(2, '[[1,2],[-7,-1000000],[-7,100001]]')],
    ['many long arrays of nothing', bytesOf(2, '[[1,2,3],[-7,40000],[-7,40000],[-7,40000]]')],
    ['a bigint of a million digits', bytesOf(2, `[["BigInt","${'9'.repeat(1_000_000)}"]]`)],
    ['a bigint that is none', bytesOf(2, '[["BigInt","0x10"]]')],
    ['a date of the wrong kind', bytesOf(2, '[["Date",[1]]]')],
    ['an attachment that is missing', bytesOf(2, '[["B",1],5]')],
    ['an attachment by name', bytesOf(2, '[["B","constructor"]]')],
    ['a reference to nowhere', bytesOf(2, '[[7]]')],
    [
      'an attachment that is cut',
      Uint8Array.of(3, 9, ...new TextEncoder().encode('[["B",1],1]').slice(0, 9), 0, 200),
    ],
    ['half an element', Uint8Array.of(3, 11, ...new TextEncoder().encode('[["B",1],1]'), 4, 3, 1, 2, 3)],
    ['an unknown type of array', Uint8Array.of(3, 11, ...new TextEncoder().encode('[["B",1],1]'), 99, 0)],
  ])('refuses %s', (_name, bytes) => {
    expect(decodeRefusal(bytes)).toMatch(/^args cannot be decoded: /)
    expect(({} as Record<string, unknown>)['x']).toBeUndefined()
  })

  it('shares nothing with the bytes it was given', () => {
    const bytes = valueCodec.encode(new Uint8Array([1, 2]), 'value')
    const value = valueCodec.decode(bytes, 'value') as Uint8Array
    bytes.fill(0)
    expect([...value]).toEqual([1, 2])
  })
})

describe('the code that runs', () => {
  it('makes no code of text, so that a strict Content-Security-Policy allows it', () => {
    // devalue's uneval makes source code, but evaluates none either
    const used = ['src/grains', 'node_modules/devalue/src'].flatMap((folder) =>
      readdirSync(path.join(root, folder))
        .filter((file) => /(?<!\.test)\.[jt]s$/.test(file))
        .map((file) => path.join(root, folder, file)),
    )
    expect(used.length).toBeGreaterThan(8)
    const found = used.filter((file) =>
      /(?<![\w.$])(?:eval\s*\(|(?:new\s+)?Function\s*\()/.test(withoutComments(readFileSync(file, 'utf8'))),
    )
    expect(found).toEqual([])
  })
})

const withoutComments = (source: string): string =>
  source.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/gm, '')
