/** How far a run of many jobs is: one line that rewrites itself on a terminal, a new line now and then elsewhere. */
import process from 'node:process'

const EVERY_MS = 5_000

export class Progress {
  readonly #jobs: number
  readonly #what: string
  readonly #started = performance.now()
  readonly #live = process.stderr.isTTY
  #done = 0
  #failing = 0
  #shownAt = 0

  /** `what` is done `jobs` times, on so many threads. */
  constructor(jobs: number, what: string, threads: number) {
    this.#jobs = jobs
    this.#what = what
    this.#show(0, ` on ${threads} thread(s)`)
  }

  /** One more is done; `trouble` is what is to be read of it, empty if nothing. */
  add(trouble: string): void {
    this.#done++
    if (trouble !== '') {
      this.#failing++
      this.end()
      process.stderr.write(`${trouble}\n`)
    }
    const now = performance.now()
    if (!this.#live && now - this.#shownAt < EVERY_MS) return
    const left = ((now - this.#started) / this.#done) * (this.#jobs - this.#done)
    this.#show(now, `, about ${Math.ceil(left / 1_000)} s left`)
  }

  end(): void {
    if (this.#live) process.stderr.write('\r\u001b[K')
  }

  #show(now: number, rest: string): void {
    this.#shownAt = now
    const trouble = this.#failing > 0 ? `, ${this.#failing} with trouble` : ''
    const line = `${this.#done}/${this.#jobs} ${this.#what}${trouble}${rest}`
    process.stderr.write(this.#live ? `\r\u001b[K${line}` : `${line}\n`)
  }
}
