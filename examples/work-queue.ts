/**
 * A queue of tasks that any tab adds to and any tab works on. A task that was taken is hidden for a while; if it is not
 * done by then, since its worker is gone or slow, somebody else gets it. What fails is tried again later, and after too
 * many attempts it is put aside. No more than so many are handed out in so long, whoever asks.
 *
 * A task may be run twice, if a worker is slow: run what does no harm twice, or `extend` in time.
 */
import { defineGrain, type GrainProxy, type MethodsOf } from '../src/index.ts'

export interface QueueOptions {
  /** How long a task that was taken is hidden. Default 30,000 ms. */
  readonly visibilityMs?: number
  /** Default 3. */
  readonly maxAttempts?: number
  /** A task that failed comes back after this long, times the attempts so far. Default 1,000 ms. */
  readonly retryMs?: number
  /** At most so many tasks are handed out within any `perMs`. Default 10 in 1,000 ms. */
  readonly rate?: { readonly tasks: number; readonly perMs: number }
}

/** What a worker gets. Only who took it last may end it: `attempt` tells. */
export interface Taken {
  readonly id: string
  readonly payload: string
  /** 1 at the first try. */
  readonly attempt: number
}

interface Task extends Taken {
  /** Nobody gets it before, in ms since 1970. */
  readonly notBefore: number
}

export function workQueue(options: QueueOptions = {}) {
  const { visibilityMs = 30_000, maxAttempts = 3, retryMs = 1_000 } = options
  const { tasks: most, perMs } = options.rate ?? { tasks: 10, perMs: 1_000 }
  return defineGrain('work-queue', (self) => {
    const queue = self.state({ waiting: [] as Task[], aside: [] as Taken[], handedOut: [] as number[] })
    const find = (id: string, attempt: number) =>
      queue.value.waiting.find((task) => task.id === id && task.attempt === attempt)
    const drop = (id: string): void =>
      queue.update((draft) => void (draft.waiting = draft.waiting.filter((task) => task.id !== id)))
    const hide = (id: string, attempt: number, ms: number): void =>
      queue.update(({ waiting }) => {
        const at = waiting.findIndex((task) => task.id === id)
        // behind the others: one that fails must not hold them up
        const [task] = waiting.splice(at, 1)
        waiting.push({ ...task!, attempt, notBefore: Date.now() + ms })
      })
    const putAside = (task: Taken): void => {
      drop(task.id)
      queue.update((draft) => {
        draft.aside.push({ id: task.id, payload: task.payload, attempt: task.attempt })
      })
    }
    return {
      /** `false` where a task of this id is there already: adding twice adds once. */
      add(id: string, payload: string): boolean {
        if (queue.value.waiting.some((task) => task.id === id)) return false
        queue.update((draft) => void draft.waiting.push({ id, payload, attempt: 0, notBefore: 0 }))
        return true
      },
      /** The next task; `null` where there is none, or not yet. */
      take(): Taken | null {
        const now = Date.now()
        const ready = queue.value.waiting.filter(({ notBefore }) => notBefore <= now)
        // whose last worker never answered
        for (const task of ready) if (task.attempt >= maxAttempts) putAside(task)
        const next = ready.find(({ attempt }) => attempt < maxAttempts)
        const handedOut = queue.value.handedOut.filter((at) => at > now - perMs)
        if (!next || handedOut.length >= most) return null
        queue.update((draft) => void (draft.handedOut = [...handedOut, now]))
        hide(next.id, next.attempt + 1, visibilityMs)
        return { id: next.id, payload: next.payload, attempt: next.attempt + 1 }
      },
      /** `false` where somebody else has it by now, who will do it once more. */
      done({ id, attempt }: Taken): boolean {
        const isTheirs = find(id, attempt) !== undefined
        if (isTheirs) drop(id)
        return isTheirs
      },
      /** It comes back later, or is put aside. */
      fail({ id, attempt }: Taken): void {
        const task = find(id, attempt)
        if (task && attempt >= maxAttempts) putAside(task)
        else if (task) hide(id, attempt, retryMs * attempt)
      },
      /** Hides it for as long again; `false` where somebody else has it by now. */
      extend({ id, attempt }: Taken): boolean {
        const isTheirs = find(id, attempt) !== undefined
        if (isTheirs) hide(id, attempt, visibilityMs)
        return isTheirs
      },
      size: (): number => queue.value.waiting.length,
      /** Tasks that failed too often. */
      aside: (): readonly Taken[] => queue.value.aside,
    }
  })
}

/** Works on one task, if there is one; tells whether there was. */
export async function workOnce(
  queue: GrainProxy<MethodsOf<ReturnType<typeof workQueue>>>,
  run: (payload: string, task: Taken) => Promise<void>,
): Promise<boolean> {
  const task = await queue.take()
  if (!task) return false
  await run(task.payload, task).then(
    () => queue.done(task),
    () => queue.fail(task),
  )
  return true
}
