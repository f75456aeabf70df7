/**
 * A Chromium as a user runs it. Playwright's own keeps every page visible and its timers at full speed; this one hides
 * a tab when another one of its window comes to the front, and slows it down.
 *
 * Spoken to over the Chrome DevTools Protocol without Playwright, which would tell each page that it has the focus.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { WebSocket } from 'ws'
import type { Tracer } from './renderers.ts'
import { tracedPids } from './renderers.ts'

export interface OwnChromium {
  /**
   * Opens a tab of the one window, in front of the others.
   * @param functions that its pages can call with one text, by name
   */
  openTab(url: string, functions?: Readonly<Record<string, (text: string) => void>>): Promise<OwnTab>
  close(): Promise<void>
}

export interface OwnTab {
  /** The value of an expression, awaited. It must be JSON. */
  evaluate<T>(expression: string): Promise<T>
  /** Of its renderer. */
  pid(): Promise<number>
  /** Resolves once its renderer is gone, where that was not asked of the browser. */
  crashed(): Promise<void>
  /** As a user closes it. Resolves once it is gone. */
  close(): Promise<void>
  /** Resolves once the page has loaded. */
  reload(): Promise<void>
  goTo(url: string): Promise<void>
}

type Send = <T>(method: string, params?: object, sessionId?: string) => Promise<T>

/** Starts it without a screen, with a profile of its own. */
export async function startChromium(executablePath: string, flags: readonly string[]): Promise<OwnChromium> {
  const profile = await mkdtemp(path.join(os.tmpdir(), 'grainmesh-chromium-'))
  const child = spawn(
    executablePath,
    [
      '--headless=new',
      '--remote-debugging-port=0',
      `--user-data-dir=${profile}`,
      '--no-first-run',
      ...flags,
      'about:blank',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  const socket = new WebSocket(await debuggerOf(child))
  await once(socket, 'open')
  // as many listeners as there are tabs and traces
  const events = new EventEmitter().setMaxListeners(0)
  const send = speak(socket, events)
  await send('Target.setDiscoverTargets', { discover: true })
  return {
    async openTab(url, functions = {}) {
      const { targetId } = await send<{ targetId: string }>('Target.createTarget', { url })
      const attached = await send<{ sessionId: string }>('Target.attachToTarget', { targetId, flatten: true })
      return ownTab(send, events, targetId, attached.sessionId, functions)
    },
    async close() {
      const exited = child.exitCode === null ? once(child, 'exit') : undefined
      await send('Browser.close')
      await exited
      socket.terminate()
      // Chromium's last children may still be writing
      await rm(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
    },
  }
}

async function ownTab(
  send: Send,
  events: EventEmitter,
  targetId: string,
  sessionId: string,
  functions: Readonly<Record<string, (text: string) => void>>,
): Promise<OwnTab> {
  const told = (method: string): Promise<unknown> => once(events, `${sessionId} ${method}`)
  const ended = (method: string): Promise<void> =>
    new Promise((resolve) => {
      events.on(` ${method}`, (params: { targetId: string }) => {
        if (params.targetId === targetId) resolve()
      })
    })
  const crashed = ended('Target.targetCrashed')
  const destroyed = ended('Target.targetDestroyed')
  events.on(`${sessionId} Runtime.bindingCalled`, ({ name, payload }: { name: string; payload: string }) =>
    functions[name]?.(payload),
  )
  await send('Page.enable', {}, sessionId)
  await send('Runtime.enable', {}, sessionId)
  for (const name of Object.keys(functions)) await send('Runtime.addBinding', { name }, sessionId)
  const evaluateHere = <T>(expression: string): Promise<T> => evaluate<T>(send, sessionId, expression)
  const load = async (method: string, params: object): Promise<void> => {
    const loaded = told('Page.loadEventFired')
    await send(method, params, sessionId)
    await loaded
  }
  return {
    evaluate: evaluateHere,
    async pid() {
      const mark = (name: string): Promise<unknown> =>
        evaluateHere(`void performance.mark(${JSON.stringify(name)})`)
      return (await tracedPids(tracerOf(send, events), [mark]))[0]!
    },
    crashed: () => crashed,
    async close() {
      await send('Page.close', {}, sessionId)
      await destroyed
    },
    reload: () => load('Page.reload', {}),
    goTo: (url) => load('Page.navigate', { url }),
  }
}

/** Of the whole browser. One trace at a time. */
function tracerOf(send: Send, events: EventEmitter): Tracer {
  return {
    start: (includedCategories) => send('Tracing.start', { traceConfig: { includedCategories } }),
    end: () => send('Tracing.end'),
    onData: (take) =>
      void events.on(' Tracing.dataCollected', ({ value }: { value: readonly unknown[] }) => take(value)),
    onComplete: (done) => void events.once(' Tracing.tracingComplete', () => done()),
  }
}

interface Evaluated {
  readonly result: { readonly value?: unknown }
  readonly exceptionDetails?: {
    readonly text: string
    readonly exception?: { readonly description?: string }
  }
}

async function evaluate<T>(send: Send, sessionId: string, expression: string): Promise<T> {
  const params = { expression, awaitPromise: true, returnByValue: true }
  const { result, exceptionDetails: thrown } = await send<Evaluated>('Runtime.evaluate', params, sessionId)
  if (thrown) throw new Error(thrown.exception?.description ?? thrown.text)
  return result.value as T
}

/** Events come out of `events`, named by their session, which is empty for the browser's own, and their method. */
function speak(socket: WebSocket, events: EventEmitter): Send {
  interface Answer {
    readonly id?: number
    readonly method?: string
    readonly sessionId?: string
    readonly params?: object
    readonly result?: unknown
    readonly error?: { readonly message: string }
  }
  const waiting = new Map<number, (answer: Answer) => void>()
  let ids = 0
  socket.on('message', (data: Buffer) => {
    const answer = JSON.parse(data.toString()) as Answer
    if (answer.id === undefined) {
      events.emit(`${answer.sessionId ?? ''} ${answer.method}`, answer.params)
      return
    }
    waiting.get(answer.id)?.(answer)
    waiting.delete(answer.id)
  })
  return <T>(method: string, params: object = {}, sessionId?: string) =>
    new Promise<T>((resolve, reject) => {
      const id = ++ids
      waiting.set(id, ({ result, error }) => {
        if (error) reject(new Error(`${method}: ${error.message}`))
        else resolve(result as T)
      })
      socket.send(JSON.stringify({ id, method, params, sessionId }))
    })
}

/** Chromium prints the address at its start. */
function debuggerOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let printed = ''
    child.stderr!.on('data', (chunk: Buffer) => {
      printed += chunk.toString()
      const url = /listening on (ws:\S+)/.exec(printed)?.[1]
      if (url !== undefined) resolve(url)
    })
    child.on('error', reject)
    child.on('exit', () => reject(new Error(`Chromium ended without an address:\n${printed}`)))
  })
}
