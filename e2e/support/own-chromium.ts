/**
 * A Chromium as a user runs it. Playwright's own keeps every page visible and its timers at full speed; this one hides
 * a tab when another one of its window comes to the front, and slows it down.
 *
 * Spoken to over the Chrome DevTools Protocol without Playwright, which would tell each page that it has the focus.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { WebSocket } from 'ws'

export interface OwnChromium {
  /** Opens a tab of the one window, in front of the others. */
  openTab(url: string): Promise<OwnTab>
  close(): Promise<void>
}

export interface OwnTab {
  /** The value of an expression, awaited. It must be JSON. */
  evaluate<T>(expression: string): Promise<T>
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
  const send = speak(socket)
  return {
    async openTab(url) {
      const { targetId } = await send<{ targetId: string }>('Target.createTarget', { url })
      const attached = await send<{ sessionId: string }>('Target.attachToTarget', { targetId, flatten: true })
      return {
        evaluate: <T>(expression: string) => evaluate<T>(send, attached.sessionId, expression),
      }
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

function speak(socket: WebSocket): Send {
  interface Answer {
    readonly id?: number
    readonly result?: unknown
    readonly error?: { readonly message: string }
  }
  const waiting = new Map<number, (answer: Answer) => void>()
  let ids = 0
  socket.on('message', (data: Buffer) => {
    const answer = JSON.parse(data.toString()) as Answer
    if (answer.id === undefined) return
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
