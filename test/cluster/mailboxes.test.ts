/** Messages between members, as users send and receive them. */
import { describe, expect, it } from 'vitest'
import type { Cluster, ClusterEvent, Message } from '../../src/api.ts'
import { codeOf, createWorld, upCount } from './support.ts'

const textOf = (messages: readonly Message[]): unknown[] => messages.map(({ data }) => data)

/** What a mailbox of a cluster has received. */
function listen(cluster: Cluster, name = 'chat'): Message[] {
  const received: Message[] = []
  cluster.mailbox(name).receive((message) => void received.push(message))
  return received
}

async function pair(seed = 1) {
  const world = createWorld(seed)
  const { clusters, tabs } = await world.room(2)
  const [a, b] = clusters as [Cluster, Cluster]
  return { world, tabs, a, b, chat: a.mailbox('chat'), toB: b.self.authority }
}

describe('a message', () => {
  it('arrives as it was sent, once, and the sender knows when it was handled', async () => {
    const { world, a, chat, b, toB } = await pair()
    const received = listen(b)
    const bytes = Uint8Array.of(1, 2, 3)
    await world.settled(
      Promise.all([chat.send(toB, 'hällo'), chat.send(toB, bytes), chat.send(b.self.nodeId, '')]),
    )
    expect(received).toEqual([
      { from: a.self.nodeId, authority: a.self.authority, data: 'hällo', lane: 'call' },
      { from: a.self.nodeId, authority: a.self.authority, data: bytes, lane: 'call' },
      { from: a.self.nodeId, authority: a.self.authority, data: '', lane: 'call' },
    ])
  })

  it('that a listener answers with goes once, behind what was said before', async () => {
    const { world, a, b, chat, toB } = await pair()
    const answers = listen(a, 'answers')
    b.mailbox('chat').receive(({ from, data }) => void b.mailbox('answers').send(from, `re: ${String(data)}`))
    const sent = ['1', '2', '3'].map((text) => chat.send(toB, text))
    // a turn of another kind, while these wait for the end of the task
    a.setMeta({ busy: true })
    await world.settled(Promise.all([...sent, chat.send(toB, '4')]))
    await world.until('the answers are there', () => answers.length >= 4)
    expect(textOf(answers)).toEqual(['re: 1', 're: 2', 're: 3', 're: 4'])
  })

  it('comes in order, however many there are', async () => {
    const { world, chat, b, toB } = await pair()
    const received = listen(b)
    const count = 5_000
    await world.settled(Promise.all(Array.from({ length: count }, (_, i) => chat.send(toB, `message ${i}`))))
    expect(textOf(received)).toEqual(Array.from({ length: count }, (_, i) => `message ${i}`))
  })

  it('may be large, and tells how far it has come', async () => {
    const { world, chat, b, toB } = await pair()
    const received = listen(b)
    const bytes = Uint8Array.from({ length: 3_000_000 }, (_, i) => (i * 31) % 251)
    const seen: number[] = []
    const onProgress = (sent: number, total: number): void => {
      expect(total).toBe(bytes.length)
      seen.push(sent)
    }
    await world.settled(chat.send(toB, bytes, { lane: 'bulk', onProgress }))
    expect(Buffer.compare(received[0]!.data as Uint8Array, bytes)).toBe(0)
    expect(seen.length).toBeGreaterThan(5)
    expect(seen).toEqual([...seen].sort((x, y) => x - y))
    expect(seen.at(-1)).toBe(bytes.length)
  })

  it('has its memory for itself, or may be a view where its listener takes views', async () => {
    const { world, a, b, toB } = await pair()
    const bytes = Uint8Array.from({ length: 16 * 1024 }, (_, i) => (i * 31) % 251)
    const small = Uint8Array.of(1, 2, 3)
    const received = listen(b, 'own')
    const views: Message[] = []
    b.mailbox('views').receive((message) => void views.push(message), { views: true })
    for (const name of ['own', 'views']) {
      const box = a.mailbox(name)
      await world.settled(Promise.all([box.send(toB, bytes), box.send(toB, small), box.send(toB, 'hällo')]))
    }
    for (const { data } of received)
      if (typeof data !== 'string') expect(data.buffer.byteLength).toBe(data.length)
    expect(textOf(received)).toEqual([bytes, small, 'hällo'])
    expect(textOf(views)).toEqual([bytes, small, 'hällo'])
    const [large, little] = textOf(views) as [Uint8Array, Uint8Array]
    expect(large.buffer.byteLength).toBeGreaterThan(large.length)
    // a view would keep all that came with it in memory
    expect(little.buffer.byteLength).toBe(little.length)
  })

  it('waits for a listener that is slow, and so does the sender', async () => {
    const { world, chat, b, toB } = await pair()
    const order: string[] = []
    let finish = (): void => undefined
    b.mailbox('chat').receive(async ({ data }) => {
      order.push(`begin ${String(data)}`)
      await new Promise<void>((resolve) => (finish = resolve))
      order.push(`end ${String(data)}`)
    })
    let done = 0
    const sent = ['one', 'two'].map((text) => chat.send(toB, text).then(() => done++))
    await world.until('the first is handled', () => order.length === 1)
    await world.clock.advanceAsync(500)
    expect([order, done]).toEqual([['begin one'], 0])
    finish()
    await world.until('the second is handled', () => order.length === 3)
    await world.until('the first is known to be done', () => done === 1)
    finish()
    await world.settled(Promise.all(sent))
    expect(order).toEqual(['begin one', 'end one', 'begin two', 'end two'])
  })

  it('to oneself is handed over later, too', async () => {
    const { world, a } = await pair()
    const received = listen(a)
    const sent = a.mailbox('chat').send(a.self.authority, 'me')
    expect(received).toEqual([])
    await world.settled(sent)
    expect(textOf(received)).toEqual(['me'])
  })

  it('sent before the join is done goes out after it, where its member is known by then', async () => {
    const { world, b } = await pair()
    const received = listen(b)
    const newcomer = world.tab().open()
    await world.until('it knows the other', () => upCount(newcomer) === 3)
    await world.settled(newcomer.mailbox('chat').send(b.self.authority, 'early'))
    expect(textOf(received)).toEqual(['early'])
  })
})

describe('a message that cannot be delivered', () => {
  it('is refused for what is wrong with it', async () => {
    const { world, a, b, chat, toB } = await pair()
    const aborted: ClusterEvent[] = []
    a.on('send-aborted', (event) => aborted.push(event))
    expect(await codeOf(chat.send('nobody', 'x'))).toBe('invalid-value')
    expect(await codeOf(chat.send(toB, 5 as unknown as string))).toBe('invalid-value')
    expect(await codeOf(chat.send(toB, 'x', { lane: 'fast' as 'bulk' }))).toBe('invalid-value')
    expect(await codeOf(chat.send(toB, new Uint8Array(17 * 1024 * 1024)))).toBe('too-large')
    expect(await codeOf(chat.send(toB, 'half \ud83d'))).toBe('invalid-value')
    for (const [options, said] of [
      [{ signal: 5 }, /signal must be an AbortSignal/],
      [null, /the options must be an object/],
      [{ foo: 1 }, /foo is not an option/],
      [{ onProgress: 5 }, /onProgress must be a function/],
    ] as const) {
      const refused = chat.send(toB, 'x', options as never)
      await expect(refused).rejects.toMatchObject({
        code: 'invalid-value',
        message: expect.stringMatching(said),
      })
    }
    expect(await codeOf(chat.send(Symbol('to') as never, 'x'))).toBe('invalid-value')
    // what has no way to become a text
    const bare = Object.create(null) as never
    expect(await codeOf(chat.send(bare, 'x'))).toBe('invalid-value')
    expect(await codeOf(chat.send(toB, 'x', { lane: bare }))).toBe('invalid-value')
    expect(await codeOf(() => a.mailbox(bare))).toBe('invalid-value')
    expect(await codeOf(() => a.peerState(bare))).toBe('invalid-value')
    expect(aborted).toHaveLength(12)
    expect(await codeOf(world.settled(chat.send('a'.repeat(20), 'x')))).toBe('unknown-member')
    expect(await codeOf(() => a.mailbox(''))).toBe('invalid-value')
    expect(() => b.mailbox('chat').receive(undefined as never)).toThrow(
      /^receive takes a function, not undef/,
    )
    for (const [options, said] of [
      [null, /the options must be an object/],
      [{ view: true }, /view is not an option/],
      [{ views: 1 }, /views must be true or false/],
    ] as const) {
      expect(() => b.mailbox('chat').receive(() => {}, options as never)).toThrow(said)
    }
    listen(b)
    expect(await codeOf(() => listen(b))).toBe('invalid-value')
  })

  it('names its member and its mailbox', async () => {
    const { world, a, b, toB } = await pair()
    const messageOf = (sent: Promise<void>) =>
      world.settled(sent.then(String, ({ message }: Error) => message))
    expect(await messageOf(a.mailbox('nobody').send(toB, 'x'))).toBe(
      `${toB} has no listener for the mailbox "nobody".`,
    )
    expect(await messageOf(a.mailbox('chat').send('a'.repeat(20), 'x'))).toMatch(/of a{20}: take the auth/)
    b.mailbox('chat').receive(() => new Promise(() => undefined))
    const lost = messageOf(a.mailbox('chat').send(toB, 'x'))
    await world.clock.advanceAsync(100)
    void b.leave()
    expect(await lost).toMatch(new RegExp(`^The message for ${toB} in the mailbox "chat" did not arrive: `))
  })

  it('to a mailbox without a listener is a dead letter, and those around it arrive', async () => {
    const { world, a, b, chat, toB } = await pair()
    const received = listen(b)
    const dead: ClusterEvent[] = []
    a.on('dead-letter', (event) => dead.push(event))
    const sends = Array.from({ length: 300 }, (_, i) =>
      i % 2 ? chat.send(toB, `${i}`) : a.mailbox('nobody').send(toB, `${i}`),
    )
    const codes = await world.settled(Promise.all(sends.map(codeOf)), 60_000)
    expect(codes).toEqual(Array.from({ length: 300 }, (_, i) => (i % 2 ? 'no error' : 'no-receiver')))
    expect(received).toHaveLength(150)
    expect(dead).toHaveLength(150)
  })

  it('is given up when its sender aborts or leaves', async () => {
    const { world, a, b, chat, toB } = await pair()
    b.mailbox('chat').receive(() => new Promise(() => undefined))
    const stop = new AbortController()
    const attempt = codeOf(chat.send(toB, 'x', { signal: stop.signal }))
    const other = codeOf(chat.send(toB, 'y'))
    await world.clock.advanceAsync(100)
    stop.abort()
    expect(await world.settled(attempt)).toBe('aborted')
    expect(await codeOf(chat.send(toB, 'z', { signal: stop.signal }))).toBe('aborted')
    void a.leave()
    expect(await world.settled(other)).toBe('left')
    expect(await codeOf(chat.send(toB, 'late'))).toBe('left')
  })
})

describe('while there is no way to a member', () => {
  /** Two members, the second of which was cut off and is known to be unreachable. */
  async function apart(options: object = {}) {
    const world = createWorld(3)
    const tabs = [world.tab(), world.tab(), world.tab()]
    const clusters: Cluster[] = []
    // A relayed link needs real time, for its keys.
    for (const tab of tabs) clusters.push(await tab.join({ relay: false, ...options }))
    await world.until('all are there', () => clusters.every((cluster) => upCount(cluster) === 3))
    const [a, b, c] = clusters as [Cluster, Cluster, Cluster]
    const received = listen(b)
    const cut = (isCut: boolean): void => {
      for (const index of [0, 2]) {
        const ends = [tabs[index]!.transport, tabs[1]!.transport] as const
        if (isCut) world.network.cut(...ends)
        else world.network.mend(...ends)
      }
    }
    cut(true)
    await world.until('it is missed', () => statusOf(a, b) === 'unreachable', 60_000)
    return { world, a, b, c, received, mend: () => cut(false) }
  }
  const statusOf = (cluster: Cluster, other: Cluster): string | undefined =>
    cluster.members.get().find(({ authority }) => authority === other.self.authority)?.status

  it('messages wait, and are sent in order when there is one again', async () => {
    const { world, a, b, received, mend } = await apart()
    const drained: ClusterEvent[] = []
    a.on('drained', (event) => drained.push(event))
    const sends = ['1', '2', '3'].map((text) => a.mailbox('chat').send(b.self.authority, text))
    await world.clock.advanceAsync(1_000)
    expect(a.associations.get()).toMatchObject([{ authority: b.self.authority, state: 'disconnected' }])
    expect(received).toEqual([])
    mend()
    await world.settled(Promise.all(sends), 60_000)
    expect(textOf(received)).toEqual(['1', '2', '3'])
    expect(drained).toMatchObject([{ authority: b.self.authority, messages: 3 }])
    expect(a.associations.get()).toMatchObject([{ authority: b.self.authority, state: 'connected' }])
  })

  it('as many wait as may, and the next is refused', async () => {
    const { world, a, b, mend, received } = await apart({ limits: { queueMessages: 2 } })
    const sends = ['1', '2', '3'].map((text) => codeOf(a.mailbox('chat').send(b.self.authority, text)))
    expect(await world.settled(sends[2]!)).toBe('queue-full')
    mend()
    expect(await world.settled(Promise.all(sends), 60_000)).toEqual(['no error', 'no error', 'queue-full'])
    expect(textOf(received)).toEqual(['1', '2'])
  })

  it('or the oldest is dropped, if so it was asked for', async () => {
    const { world, a, b, mend, received } = await apart({
      queue: 'drop-oldest',
      limits: { queueMessages: 2 },
    })
    const sends = ['1', '2', '3'].map((text) => codeOf(a.mailbox('chat').send(b.self.authority, text)))
    expect(await world.settled(sends[0]!)).toBe('dead-letter')
    mend()
    await world.settled(Promise.all(sends), 60_000)
    expect(textOf(received)).toEqual(['2', '3'])
  })
})

describe('a life that ends', () => {
  it('takes with it what was under way; what was not begun waits for the next life', async () => {
    const { world, a, b, tabs, chat, toB } = await pair(5)
    b.mailbox('chat').receive(() => new Promise(() => undefined))
    const underWay = codeOf(chat.send(toB, 'lost'))
    await world.clock.advanceAsync(100)
    const forThatLife = b.self.nodeId
    void b.leave()
    expect(await world.settled(underWay)).toBe('dead-letter')
    const waiting = chat.send(toB, 'later')
    expect(await world.settled(codeOf(chat.send(forThatLife, 'x')))).toBe('dead-letter')
    const again = tabs[1]!.open()
    const received = listen(again)
    await world.settled(waiting, 60_000)
    expect(textOf(received)).toEqual(['later'])
    expect(again.self.authority).toBe(toB)
    expect(upCount(a)).toBe(2)
  })
})

describe('a PID', () => {
  it('resolves to its member, or to the reason why not', async () => {
    const { a, b } = await pair()
    const pid = `grainmesh://room@${b.self.authority}/counter/likes`
    expect(a.resolve(pid)).toEqual({
      status: 'ready',
      authority: b.self.authority,
      nodeId: b.self.nodeId,
      path: 'direct',
    })
    expect(a.resolve(pid.replace('room', 'elsewhere'))).toMatchObject({ status: 'unreachable' })
    expect(a.resolve(`grainmesh://room@${'a'.repeat(20)}/counter/likes`)).toMatchObject({
      status: 'unreachable',
      reason: 'nothing is known of this authority',
    })
    expect(a.resolve('http://x')).toEqual({
      status: 'invalid-format',
      reason: 'a PID begins with "grainmesh://"',
    })
  })
})
