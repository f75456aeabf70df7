/** Relayed links against whoever carries them: nothing is read, changed, repeated, left out or moved unnoticed. */
import { describe, expect, it, vi } from 'vitest'
import { decodeBase64, encodeBase64 } from '../../src/adapters/relay/base64.ts'
import { Pacer, type PacedSender } from '../../src/adapters/relay/pacer.ts'
import { Assembly, Backlog, MAX_PIECE_BYTES } from '../../src/adapters/relay/pieces.ts'
import { formatSignal, parseSignal } from '../../src/adapters/relay/signal.ts'
import { createRelayTransport } from '../../src/adapters/relay/transport.ts'
import { createBrowserClock } from '../../src/adapters/browser/clock.ts'
import { LINK_LOW_WATER, type RelayRate } from '../../src/ports.ts'
import { openPair } from '../../src/testing/contract-pair.ts'
import { FakeClock } from '../../src/testing/fake-clock.ts'
import { HOSTILE_SIGNALS } from '../../src/testing/contract.ts'
import { createCarrier, relayAsTransport } from './relay-carrier.ts'

const clock = createBrowserClock()
const nothing = {
  onSignal: () => undefined,
  onOpen: () => undefined,
  onMessage: () => undefined,
  onDrain: () => undefined,
  onClose: () => undefined,
}
const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const until = (check: () => void): Promise<void> => vi.waitFor(check, { interval: 5, timeout: 8_000 })

async function openLink(rate?: RelayRate) {
  const carrier = createCarrier()
  const pair = openPair({
    transport: () => relayAsTransport(carrier, { clock, ...(rate && { rate }) }),
    clock,
  })
  await Promise.all([pair.a.untilOpen(), pair.b.untilOpen()])
  return { ...pair, carrier }
}

describe('a relayed link', () => {
  it('is the same for both ends: each has the other’s fingerprint, and no two links share one', async () => {
    const { a, b, close } = await openLink()
    const other = await openLink()
    const [atA, atB] = [a.link.fingerprints!, b.link.fingerprints!]
    expect([atA.local, atA.remote]).toEqual([atB.remote, atB.local])
    expect(atA.local).toMatch(/^relay sha-256 [0-9a-f]{64}$/)
    expect(new Set([atA.local, atA.remote, ...Object.values(other.a.link.fingerprints!)]).size).toBe(4)
    close()
    other.close()
  })

  it('shows its carrier neither messages nor their number', async () => {
    const { a, b, carrier, close } = await openLink()
    const before = carrier.carried.length
    for (let i = 0; i < 100; i++) a.link.send(text(`the secret ${i}`))
    await b.untilMessages(100)
    expect(carrier.carried).toHaveLength(before + 1)
    for (const data of carrier.carried) {
      expect(data).toMatch(/^[A-Za-z0-9+/]+=*$/)
      expect(String.fromCharCode(...decodeBase64(data)!)).not.toContain('secret')
    }
    a.link.send(text('the secret 0'))
    a.link.send(text('the secret 0'))
    await b.untilMessages(102)
    expect(new Set(carrier.carried).size).toBe(carrier.carried.length)
    close()
  })

  it('carries a large message in pieces that a rate can be kept with', async () => {
    const { a, b, carrier, close } = await openLink()
    a.link.send(new Uint8Array(64 * 1024).fill(7))
    await b.untilMessages(1)
    const longest = Math.max(...carrier.carried.map((data) => decodeBase64(data)!.length))
    expect(longest).toBe(MAX_PIECE_BYTES + 30)
    close()
  })

  it.each<[string, (data: string, seen: number) => readonly string[], RegExp]>([
    [
      'left out',
      (data, seen) => (seen === 1 ? [] : [data]),
      /a relayed piece was lost: number 2 came, 1 was awaited/,
    ],
    [
      'repeated',
      (data, seen) => (seen === 1 ? [data, data] : [data]),
      /a relayed piece came twice: number 1 came, 2 was awaited/,
    ],
    ['changed', (data, seen) => (seen === 1 ? [flipped(data, 40)] : [data]), /cannot be deciphered/],
    [
      'renumbered',
      (data, seen) => (seen === 1 ? [flipped(data, 13)] : [data]),
      /number 0 came, 1 was awaited/,
    ],
    ['cut short', (data, seen) => (seen === 1 ? [data.slice(0, 48)] : [data]), /cannot be deciphered/],
  ])('ends, with the reason, when a piece is %s', async (_, change, reason) => {
    const { a, b, carrier } = await openLink()
    let seen = 0
    carrier.onTheWay = (data) => change(data, ++seen)
    a.link.send(text('one'))
    await until(() => expect(seen).toBeGreaterThan(0))
    a.link.send(text('two'))
    await b.untilClosed()
    expect(b.closed).toMatchObject([expect.stringMatching(reason)])
    expect(b.messages.length).toBeLessThanOrEqual(1)
    // and says so, so that the other end need not find out by silence
    await a.untilClosed()
    expect(a.closed).toEqual(['closed by the other end'])
  })

  it('ends when pieces are moved', async () => {
    const { a, b, carrier } = await openLink()
    const held: string[] = []
    carrier.onTheWay = (data) => (held.push(data) < 2 ? [] : [held[1]!, held[0]!])
    a.link.send(text('one'))
    await until(() => expect(held).toHaveLength(1))
    a.link.send(text('two'))
    await b.untilClosed()
    expect(b.messages).toEqual([])
  })

  it('is not ended by what others send: pieces of another link, noise, a farewell that is a guess', async () => {
    const { a, b, carrier, close } = await openLink()
    const other = await openLink()
    const mine = carrier.carried[0]!
    const noise = [
      ...other.carrier.carried,
      '',
      '=',
      'AAAA',
      'x'.repeat(100_000),
      '{}',
      '\u0000',
      mine.slice(0, 12),
    ]
    const tagged = decodeBase64(mine)!.slice(0, 9)
    for (const type of [0, 2, 3, 255])
      noise.push(encodeBase64(Uint8Array.of(...tagged, type, ...Array(16).fill(0))))
    for (const end of carrier.ends) for (const data of noise) end.receive(data)
    a.link.send(text('still here'))
    await b.untilMessages(1)
    expect([a.closed, b.closed]).toEqual([[], []])
    close()
    other.close()
  })

  it('takes nothing of its own pieces sent back, and ends', async () => {
    const { a, b, carrier, close } = await openLink()
    a.link.send(text('one'))
    await b.untilMessages(1)
    const [mine] = carrier.ends
    for (const data of carrier.carried) mine!.receive(data)
    // Their numbers may be those awaited, but they were not sealed with the other end’s key.
    await until(() => expect(a.closed.length + b.closed.length).toBeGreaterThan(0))
    expect(a.messages).toEqual([])
    close()
  })

  it('refuses a key that is no point of the curve, and its own key come back', async () => {
    const carrier = createCarrier()
    for (const answer of [
      () =>
        formatSignal({
          type: 'answer',
          publicKey: Uint8Array.from({ length: 65 }, (_, i) => (i === 0 ? 4 : 1)),
        }),
      (offer: string) => offer.replace('offer', 'answer'),
    ]) {
      const closed: string[] = []
      const end = relayAsTransport(carrier, { clock }).open(true, {
        ...nothing,
        onSignal: (offer) => end.signal(answer(offer)),
        onClose: (reason) => closed.push(reason),
      })
      await until(() => expect(closed).toEqual(['the other end sent a key that is none']))
    }
  })

  it('with somebody in between who swaps the keys, the ends do not agree on fingerprints', async () => {
    const [left, right] = [createCarrier(), createCarrier()]
    const make = (carrier: typeof left) => relayAsTransport(carrier, { clock })
    const seen = new Map<string, { local: string; remote: string }>()
    const connect = (carrier: typeof left, name: string) => {
      const ends = [true, false].map((initiator): ReturnType<ReturnType<typeof make>['open']> =>
        make(carrier).open(initiator, {
          ...nothing,
          onSignal: (data) => queueMicrotask(() => ends[initiator ? 1 : 0]!.signal(data)),
          onOpen: () =>
            void seen.set(
              `${name} ${initiator ? 'dials' : 'answers'}`,
              ends[initiator ? 0 : 1]!.fingerprints!,
            ),
        }),
      )
      return ends
    }
    // alice dials the server, which plays bob to her, and alice to bob
    connect(left, 'alice to server:')
    connect(right, 'server to bob:')
    await until(() => expect(seen.size).toBe(4))
    const [alice, bob] = [seen.get('alice to server: dials')!, seen.get('server to bob: answers')!]
    expect(alice.remote).not.toBe(bob.local)
    expect(bob.remote).not.toBe(alice.local)
  })
})

describe('a transport of relayed links', () => {
  const unavailable = (open: () => unknown): unknown => {
    try {
      return open()
    } catch (error) {
      return `${(error as { code: string }).code}: ${(error as Error).message}`
    }
  }

  it('opens nothing before the server has said that it relays, nor where it relays next to nothing', () => {
    const relay = createRelayTransport({ clock })
    const open = () => relay.open(true, nothing, () => undefined)
    expect(unavailable(open)).toMatch(/^relay-unavailable: .*does not relay, or is away/)
    relay.setRate({ bytesPerSecond: 1e6, burst: 600 })
    expect(unavailable(open)).toMatch(/^relay-unavailable: .*too little/)
    relay.setRate({ bytesPerSecond: 1e6, burst: 6_000 })
    const end = open()
    end.close()
  })

  it('opens nothing without WebCrypto', () => {
    vi.stubGlobal('crypto', {})
    try {
      const relay = createRelayTransport({ clock })
      relay.setRate({ bytesPerSecond: 1e6, burst: 1e6 })
      expect(unavailable(() => relay.open(true, nothing, () => undefined))).toMatch(
        /^relay-unavailable: .*SubtleCrypto is not available/,
      )
    } finally {
      vi.unstubAllGlobals()
    }
  })

  it('keeps what is to be sent while signaling is away, and sends it when that is back', async () => {
    const carrier = createCarrier()
    const relay = createRelayTransport({ clock })
    const rate = { bytesPerSecond: 1e6, burst: 1e6 }
    relay.setRate(rate)
    const messages: string[] = []
    const signals = (to: () => { signal(data: string): void }) => (data: string) =>
      queueMicrotask(() => to().signal(data))
    const b = relayAsTransport(carrier, { clock }).open(false, {
      ...nothing,
      onSignal: signals(() => a),
      onMessage: (bytes) => messages.push(new TextDecoder().decode(bytes)),
    })
    let opened = false
    const a = relay.open(
      true,
      { ...nothing, onSignal: signals(() => b), onOpen: () => (opened = true) },
      (data) => carrier.carry(a, data),
    )
    await until(() => expect(opened).toBe(true))
    a.send(text('before'))
    await until(() => expect(messages).toEqual(['before']))
    relay.setRate(undefined)
    a.send(text('meanwhile'))
    expect(a.bufferedBytes).toBeGreaterThan(0)
    const carried = carrier.carried.length
    await new Promise((resolve) => setTimeout(resolve, 0))
    expect(carrier.carried).toHaveLength(carried)
    relay.setRate(rate)
    await until(() => expect(messages).toEqual(['before', 'meanwhile']))
    expect(a.bufferedBytes).toBe(0)
    a.close()
    b.close()
  })
})

describe('pacing', () => {
  /** Notes when it sends what. */
  const sender = (fake: FakeClock, pieces: number[], log: string[], name: string): PacedSender => ({
    nextCost: (largest) => Math.min(largest, pieces[0] ?? 0),
    sendNext: () => {
      log.push(`${name} ${fake.now().mono - start}`)
      pieces.shift()
    },
  })
  let start = 0

  it('stays below the rate: half the burst at once, then nine tenths of it', () => {
    const fake = new FakeClock()
    start = fake.now().mono
    const pacer = new Pacer(fake)
    pacer.setRate({ bytesPerSecond: 1_000, burst: 2_000 })
    const log: string[] = []
    pacer.enter(sender(fake, Array(12).fill(500), log, 'x'))
    expect(log).toEqual(['x 0', 'x 0'])
    fake.advance(10_000)
    // 500 bytes each 556 ms
    expect(log.slice(2).map((line) => Number(line.slice(2)))).toEqual(
      Array.from({ length: 10 }, (_, i) => expect.closeTo((i + 1) * 555.6, -1) as number),
    )
  })

  it('gives links their turns, a large piece among small ones too', () => {
    const fake = new FakeClock()
    start = fake.now().mono
    const pacer = new Pacer(fake)
    pacer.setRate({ bytesPerSecond: 1_000, burst: 2_000 })
    const log: string[] = []
    pacer.enter(sender(fake, Array(6).fill(900), log, 'large'))
    pacer.enter(sender(fake, Array(30).fill(100), log, 'small'))
    fake.advance(9_000)
    const names = log.map((line) => line.split(' ')[0])
    expect(names.slice(0, 11)).toEqual([
      'large',
      ...Array.from({ length: 5 }, () => ['large', 'small']).flat(),
    ])
  })

  it('sends nothing without a rate, or after it left', () => {
    const fake = new FakeClock()
    const pacer = new Pacer(fake)
    const log: string[] = []
    const [one, two] = ['one', 'two'].map((name) => sender(fake, [10, 10], log, name))
    pacer.enter(one!)
    pacer.enter(two!)
    fake.advance(60_000)
    expect(log).toEqual([])
    pacer.leave(one!)
    pacer.setRate({ bytesPerSecond: 1_000, burst: 1_000 })
    expect(new Set(log.map((line) => line.split(' ')[0]))).toEqual(new Set(['two']))
  })

  it('tells a link when there is room again', async () => {
    const { a, b, close } = await openLink({ bytesPerSecond: 4e6, burst: 80_000 })
    let drained = 0
    a.onDrain = () => {
      drained++
      expect(a.link.bufferedBytes).toBeLessThanOrEqual(LINK_LOW_WATER)
    }
    for (let i = 0; i < 8; i++) a.link.send(new Uint8Array(60_000))
    expect(a.link.bufferedBytes).toBeGreaterThan(400_000)
    await b.untilMessages(8)
    expect(drained).toBe(1)
    close()
  })
})

describe('what is carried', () => {
  it('messages come out of pieces of any size as they went in', () => {
    const messages = [1, 65_536, 3, 4_096, 16_384, 1, 1, 20_000].map((length, i) =>
      new Uint8Array(length).fill(i + 1),
    )
    for (const size of [7, 1_000, MAX_PIECE_BYTES, 1e9]) {
      const [backlog, assembly] = [new Backlog(), new Assembly()]
      const out: Uint8Array[] = []
      for (const message of messages) backlog.add(message)
      while (backlog.bytes > 0) {
        const problem = assembly.add(backlog.take(size), (message) => out.push(message) > 0)
        expect(problem).toBeUndefined()
      }
      expect(out.map((message) => [message.length, message[0]])).toEqual(
        messages.map(({ length }, i) => [length, i + 1]),
      )
    }
  })

  it.each([
    ['an empty message', [0, 0, 0, 0]],
    ['a message that is too long', [0, 1, 0, 1]],
    ['a message without end', [255, 255, 255, 255]],
  ])('%s is a fault', (_, bytes) => {
    expect(new Assembly().add(Uint8Array.from(bytes), () => true)).toMatch(/^the other end sent \d+ bytes/)
  })

  it('a signal comes back as it was, and nothing else is one', () => {
    const publicKey = Uint8Array.from({ length: 65 }, (_, i) => (i === 0 ? 4 : i))
    for (const type of ['offer', 'answer'] as const) {
      expect(parseSignal(formatSignal({ type, publicKey }))).toEqual({ type, publicKey })
    }
    const good = formatSignal({ type: 'offer', publicKey })
    const hostile = [
      ...HOSTILE_SIGNALS,
      good.replace('offer', 'other'),
      good.replace('B', '!'),
      formatSignal({ type: 'offer', publicKey: publicKey.slice(1) }),
      formatSignal({ type: 'offer', publicKey: publicKey.slice().fill(2, 0, 1) }),
      good.padEnd(300),
    ]
    expect(hostile.filter((data) => parseSignal(data) !== undefined)).toEqual([])
  })
})

/** The same piece with another byte at `index`. */
function flipped(data: string, index: number): string {
  const bytes = decodeBase64(data)!
  bytes[Math.min(index, bytes.length - 1)]! ^= 1
  return encodeBase64(bytes)
}
