/** M7 is shown nodes that break it, and must see it; and ones that do not, and must be silent. */
import { describe, expect, it } from 'vitest'
import { UnreachableWatch } from '../../src/testing/unreachable-watch.ts'
import type { Party } from '../../src/testing/unreachable-watch.ts'
import { BrokenNode } from './broken-node.ts'

const BOUND_MS = 10_000

/** A node in a chain of links, everything about which a test can spoil. */
class Member implements Party {
  readonly node: BrokenNode
  undisturbed = true
  readonly links = new Set<Member>()

  constructor(name: string) {
    this.node = new BrokenNode(name)
  }

  get label(): string {
    return this.node.nodeId
  }

  get nodeId(): string {
    return this.node.nodeId
  }

  link(other: Member): void {
    this.links.add(other)
    other.links.add(this)
  }

  cut(other: Member): void {
    this.links.delete(other)
    other.links.delete(this)
  }

  neighbours(): Iterable<Party> {
    return this.links
  }
}

function chain() {
  const [a, b, c] = ['a', 'b', 'c'].map((name) => new Member(name)) as [Member, Member, Member]
  a.link(b)
  b.link(c)
  const watch = new UnreachableWatch(BOUND_MS)
  const found: string[] = []
  let now = 0
  const pass = (ms: number): string[] => {
    for (const end = now + ms; now < end; now += 500) {
      watch.check([a, b, c], now, (viewer, what) => found.push(`${viewer.label} ${what}`))
    }
    return found
  }
  return { a, b, c, pass }
}

describe('UnreachableWatch', () => {
  it('M7: sees a live member that is unreachable for too long, over a path of two links, and tells it once', () => {
    const { a, pass } = chain()
    a.node.show('c', { status: 'unreachable' })
    expect(pass(BOUND_MS)).toEqual([])
    expect(pass(1_000)).toHaveLength(1)
    expect(pass(60_000)).toEqual([expect.stringMatching(/^a shows c as unreachable for more than 10 s/)])
  })

  it.each<[string, (m: { a: Member; b: Member; c: Member }) => void]>([
    ['the accusation is taken back', ({ a }) => a.node.show('c', { status: 'up' })],
    ['the accused is removed', ({ a }) => a.node.show('c', { status: 'removed' })],
    ['the path is cut', ({ a, b }) => a.cut(b)],
    ['whoever is in between is frozen', ({ b }) => (b.undisturbed = false)],
    ['the accused is frozen', ({ c }) => (c.undisturbed = false)],
    ['whoever accuses is frozen', ({ a }) => (a.undisturbed = false)],
    ['the accused leaves', ({ c }) => (c.node.status = 'leaving')],
    ['the accused is another life by now', ({ c }) => (c.node.nodeId = 'c.2')],
  ])('is silent where %s in time', (_, rescue) => {
    const members = chain()
    members.a.node.show('c', { status: 'unreachable' })
    members.pass(BOUND_MS - 1_000)
    rescue(members)
    expect(members.pass(60_000)).toEqual([])
  })

  it('counts from the moment when the path was there again', () => {
    const { a, b, pass } = chain()
    a.node.show('c', { status: 'unreachable' })
    pass(BOUND_MS - 1_000)
    a.cut(b)
    pass(2_000)
    a.link(b)
    expect(pass(BOUND_MS)).toEqual([])
    expect(pass(1_000)).toHaveLength(1)
  })
})
