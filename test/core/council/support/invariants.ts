/**
 * What must hold in every council whatever happens, checked after every call (thesis figure 3.2, and our own): election
 * safety, log matching, leader completeness, state-machine safety; one lease at a time; every proposal ends once, no
 * command is applied twice; what is confirmed is current.
 */
import type { Entry, RaftOutput } from '../../../../src/core/council/raft-messages.ts'
import type { Council, History, Host } from './council.ts'
import { textOf } from './council.ts'

interface Proposal {
  readonly command: string
  readonly host: Host
  ends: number
  isAccepted: boolean
}

export class Invariants {
  readonly #council: Council
  readonly proposals = new Map<number, Proposal>()
  /** Counts for the curious, and for tests that want to know that something happened. */
  readonly seen = { leases: 0, elections: 0, installs: 0, applied: 0, dropped: 0, confirmed: 0 }
  readonly #leaders = new Map<number, string>()
  /** What follows what: content and the term before, by index and term. */
  readonly #entries = new Map<string, string>()
  /** Committed: the entry's term, and the term of whoever knew first. */
  readonly #committed = new Map<number, { readonly term: number; readonly known: number }>()
  readonly #commands = new Map<number, string>()
  readonly #indexes = new Map<string, number>()
  readonly #knownCommit = new Map<Host, number>()
  readonly #checkedLog = new Map<Host, string>()
  readonly #ledTerm = new Map<Host, number>()
  readonly #commandsOf = new Set<number>()
  readonly #confirms = new Map<number, number>()
  #acknowledged = 0

  constructor(council: Council) {
    this.#council = council
  }

  asked(id: number, command: string, host: Host): void {
    this.proposals.set(id, { command, host, ends: 0, isAccepted: true })
  }

  refused(id: number): void {
    const proposal = this.proposals.get(id)!
    if (proposal.ends > 0) this.#fail(`refused proposal ${id} had ended`)
    this.proposals.delete(id)
  }

  confirming(id: number): void {
    this.#confirms.set(id, this.#acknowledged)
  }

  onOutput(host: Host, output: RaftOutput): void {
    switch (output.type) {
      case 'applied': {
        const { index, id } = output
        const command = textOf(output.command)
        this.#apply(host, index, command)
        if (id === undefined) break
        this.seen.applied++
        this.#commandsOf.add(id)
        this.#end(id, host)
        if (this.proposals.get(id)?.command !== command) this.#fail(`proposal ${id} is not ${command}`)
        this.#acknowledged = Math.max(this.#acknowledged, index)
        break
      }
      case 'dropped':
        this.seen.dropped++
        this.#end(output.id, host)
        break
      case 'restored':
        this.seen.installs++
        this.#restore(host, output.snapshot.index)
        break
      case 'confirmed': {
        this.seen.confirmed++
        const least = this.#confirms.get(output.id)
        if (least === undefined) this.#fail(`${output.id} ends twice or was never asked`)
        else if (host.raft.applied < least)
          this.#fail(`${host.id} confirms at ${host.raft.applied}, ${least} was acknowledged`)
        this.#confirms.delete(output.id)
        break
      }
      case 'unconfirmed':
        if (!this.#confirms.delete(output.id)) this.#fail(`${output.id} ends twice or was never asked`)
        break
      default:
    }
  }

  check(host: Host): void {
    this.#checkLog(host)
    this.#checkCommit(host)
    this.#checkLeader(host)
    this.checkLeases()
  }

  checkLeases(): void {
    const holders = this.#council.hosts.filter(
      (host) => host.isAlive && !host.frozen && host.raft.hasLease(this.#council.clock(host)),
    )
    this.seen.leases += holders.length
    if (holders.length > 1)
      this.#fail(`leases of ${holders.map(({ id, raft }) => `${id}@${raft.term}`).join(', ')}`)
  }

  hasApplied(id: number): boolean {
    return this.#commandsOf.has(id)
  }

  /** Once nothing goes on any more: what was proposed and asked, before or in `ids`, is settled. */
  checkEnded(ids: ReadonlySet<number>): void {
    for (const [id, { ends, host }] of this.proposals) {
      if (ids.has(id) && ends === 0 && host.isAlive) this.#fail(`proposal ${id} at ${host.id} has not ended`)
    }
  }

  #checkLog({ raft, id }: Host): void {
    const { log } = raft
    const host = this.#council.host(id)
    const mark = `${log.base} ${log.lastIndex} ${log.lastTerm}`
    if (this.#checkedLog.get(host) === mark) return
    this.#checkedLog.set(host, mark)
    for (let index = log.base + 1; index <= log.lastIndex; index++) {
      const entry = log.entryAt(index)!
      const key = `${index} ${entry.term}`
      const content = `${log.termAt(index - 1)} ${contentOf(entry)}`
      const known = this.#entries.get(key)
      if (known === undefined) this.#entries.set(key, content)
      else if (known !== content) this.#fail(`log matching at ${key}: ${content} is not ${known}`)
    }
  }

  #checkCommit(host: Host): void {
    const { log, term, applied } = host.raft
    const known = this.#knownCommit.get(host) ?? 0
    if (log.commit < known) this.#fail(`${host.id} takes back a commit`)
    if (log.commit > log.lastIndex) this.#fail(`${host.id} commits what it has not`)
    if (applied !== log.commit) this.#fail(`${host.id} has applied ${applied} of ${log.commit}`)
    for (let index = Math.max(known, log.base) + 1; index <= log.commit; index++) {
      const entryTerm = log.termAt(index)!
      const committed = this.#committed.get(index)
      if (!committed) this.#committed.set(index, { term: entryTerm, known: term })
      else if (committed.term !== entryTerm) this.#fail(`${host.id} commits another entry at ${index}`)
    }
    this.#knownCommit.set(host, log.commit)
  }

  #checkLeader(host: Host): void {
    const { raft, id } = host
    if (raft.role !== 'leader' || this.#ledTerm.get(host) === raft.term) return
    this.seen.elections++
    this.#ledTerm.set(host, raft.term)
    const other = this.#leaders.get(raft.term) ?? id
    if (other !== id) this.#fail(`term ${raft.term} is led by ${other} and ${id}`)
    this.#leaders.set(raft.term, id)
    for (const [index, { term, known }] of this.#committed) {
      if (known >= raft.term || index <= raft.log.base) continue
      if (raft.log.termAt(index) !== term) this.#fail(`leader ${id} of ${raft.term} lacks committed ${index}`)
    }
  }

  #apply(host: Host, index: number, command: string): void {
    const known = this.#commands.get(index)
    if (known !== undefined && known !== command)
      this.#fail(`${host.id} applies ${command} at ${index}, not ${known}`)
    const at = this.#indexes.get(command) ?? index
    if (at !== index) this.#fail(`${command} is applied at ${at} and ${index}`)
    this.#commands.set(index, command)
    this.#indexes.set(command, index)
    const before = host.history.at(-2)?.[0] ?? 0
    if (before >= index) this.#fail(`${host.id} applies ${index} after ${before}`)
    for (let i = before + 1; i < index; i++) {
      if (this.#commands.has(i)) this.#fail(`${host.id} leaves out ${i}`)
    }
  }

  #restore(host: Host, index: number): void {
    const all: History = [...this.#commands].filter(([at]) => at <= index).sort((a, b) => a[0] - b[0])
    if (JSON.stringify(all) !== JSON.stringify(host.history))
      this.#fail(`${host.id} restores another history`)
  }

  #end(id: number, host: Host): void {
    const proposal = this.proposals.get(id)
    if (!proposal || proposal.host !== host) return this.#fail(`nobody proposed ${id} at ${host.id}`)
    if (++proposal.ends > 1) this.#fail(`proposal ${id} ends twice`)
  }

  #fail(what: string): void {
    throw new Error(`seed ${this.#council.seed}, t ${this.#council.t.toFixed(1)}: ${what}`)
  }
}

const contentOf = (entry: Entry): string =>
  entry.kind === 'command'
    ? textOf(entry.command)
    : entry.kind === 'voters'
      ? entry.voters.join()
      : entry.kind
