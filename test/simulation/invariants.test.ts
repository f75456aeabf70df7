/** Every checker is shown a node that breaks its rule, and must see it; and one that does not, and must be silent. */
import { describe, expect, it } from 'vitest'
import { differences, Invariants } from '../../src/testing/invariants.ts'
import type { InvariantName, Observed } from '../../src/testing/invariants.ts'
import { BrokenNode } from './broken-node.ts'

const observed = (node: BrokenNode): Observed => ({ label: node.nodeId, alive: true, node })

function room(...names: string[]): {
  invariants: Invariants
  nodes: BrokenNode[]
  see: () => InvariantName[]
} {
  const invariants = new Invariants(8)
  const nodes = names.map((name) => new BrokenNode(name))
  for (const node of nodes) for (const other of nodes) node.show(other.nodeId, {})
  const all = nodes.map(observed)
  let time = 0
  const see = () => {
    for (const process of all) invariants.observe(process, time++)
    return invariants.violations.map(({ invariant }) => invariant)
  }
  see()
  return { invariants, nodes, see }
}

describe('Invariants', () => {
  it('is silent where nothing is broken', () => {
    const { nodes, see } = room('a', 'b')
    const [a, b] = nodes as [BrokenNode, BrokenNode]
    b.show('b', { version: 2, incarnation: 1 })
    expect(see()).toEqual([])
    a.show('b', { version: 2, incarnation: 1 })
    expect(see()).toEqual([])
    for (const node of nodes) node.hash = 'h'
    expect(see()).toEqual([])
    for (const node of nodes) node.gossipState = 'confirmed'
    expect(see()).toEqual([])
  })

  it('M2: sees a version that falls', () => {
    const { nodes, see } = room('a', 'b')
    nodes[0]!.show('b', { version: 5 })
    expect(see()).toEqual([])
    nodes[0]!.show('b', { version: 4 })
    expect(see()).toEqual(['M2 versions never fall'])
  })

  it('M3: sees an incarnation that its owner never had', () => {
    const { nodes, see } = room('a', 'b')
    nodes[0]!.show('b', { incarnation: 1 })
    expect(see()).toEqual(['M3 only the owner raises its incarnation'])
  })

  it('M4: sees a removed life return, at once or after its tombstone is gone', () => {
    const { nodes, see } = room('a', 'b', 'c')
    nodes[0]!.show('b', { status: 'removed' })
    nodes[1]!.show('c', { status: 'removed' })
    expect(see()).toEqual([])
    nodes[0]!.show('b', { status: 'up' })
    expect(see()).toEqual(['M4 a removed nodeId never returns'])
    nodes[1]!.forget('c')
    expect(see()).toEqual(['M4 a removed nodeId never returns'])
    nodes[1]!.show('c', { status: 'unreachable' })
    expect(see()).toHaveLength(2)
  })

  it('M6: sees a confirmation of what a live member never held', () => {
    const { nodes, see, invariants } = room('a', 'b')
    nodes[0]!.hash = 'h'
    nodes[0]!.gossipState = 'confirmed'
    expect(see()).toEqual(['M6 confirmed means held by all'])
    expect(invariants.violations[0]).toMatchObject({ node: 'a', time: 2 })
  })

  it('M6: a member that held it once and has moved on is no violation', () => {
    const { nodes, see } = room('a', 'b')
    nodes[1]!.hash = 'h'
    see()
    nodes[1]!.hash = 'next'
    see()
    nodes[0]!.hash = 'h'
    nodes[0]!.gossipState = 'confirmed'
    expect(see()).toEqual([])
  })

  it('O1: sees a node with more links than it may have', () => {
    const { nodes, see } = room('a', 'b')
    nodes[0]!.linkCount = 10
    expect(see()).toEqual([])
    nodes[0]!.linkCount = 11
    expect(see()).toEqual(['O1 links are bounded'])
  })

  it('sees a process that is reborn again and again', () => {
    const { nodes, see } = room('a')
    for (let life = 0; life < 6; life++) {
      nodes[0]!.nodeId = `a.${life}`
      see()
    }
    expect(see()).toEqual(['a life is reborn only now and then'])
  })
})

describe('differences', () => {
  const settled = () => {
    const nodes = [new BrokenNode('a'), new BrokenNode('b')]
    for (const node of nodes) {
      node.gossipState = 'confirmed'
      for (const other of nodes) node.show(other.nodeId, { peerState: new Map([['cursor', '1']]) })
    }
    return nodes as [BrokenNode, BrokenNode]
  }
  const found = (nodes: BrokenNode[]) => differences(nodes.map(observed), 10)

  it('finds none where all agree', () => {
    expect(found(settled())).toEqual([])
  })

  it.each<[string, (a: BrokenNode, b: BrokenNode) => void, RegExp]>([
    ['a node that is not up', (a) => (a.status = 'isolated'), /a is isolated/],
    ['a node that is not confirmed', (a) => (a.gossipState = 'diffusing'), /a is diffusing/],
    ['another view hash', (_, b) => (b.hash = 'other'), /b has view hash other/],
    ['a member that is gone', (a) => a.show('c', {}), /a shows c, which is gone, as up/],
    ['a member that is missing', (a) => a.forget('b'), /a shows 1 of 2 members/],
    [
      'a live member shown as unreachable',
      (a) => a.show('b', { status: 'unreachable' }),
      /a shows b as unreachable/,
    ],
    ['other meta', (a) => a.show('b', { meta: 'x' }), /a shows b as/],
    ['other peer state', (a) => a.show('b', { peerState: new Map() }), /a shows b as/],
  ])('finds %s', (_, spoil, message) => {
    const nodes = settled()
    spoil(...nodes)
    expect(found(nodes).join('\n')).toMatch(message)
  })
})
