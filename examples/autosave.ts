/**
 * Exactly one tab saves. Every tab hands its edits to a grain; the tab that hosts the grain saves what has come
 * together, every so often, by a function that the app brings. When that tab is closed, another one hosts the grain and
 * saves what is left: edits are kept by several tabs before `edit` resolves.
 *
 * A tab may be lost after it has saved and before that is known. Its last batch is then saved again by the next one:
 * `revision` tells the server what it has already.
 */
import { defineGrain, type Cluster, type GrainProxy, type MethodsOf } from '../src/index.ts'

/** A batch of edits. */
export interface Batch {
  /** Which document: the key of the grain. */
  readonly document: string
  /** In the order in which they came. */
  readonly edits: readonly string[]
  /** Number of the last of them, counted from 1. */
  readonly revision: number
}

export interface AutosaveOptions {
  /** Sends a batch to where it is kept. If it throws, the batch is tried again. */
  readonly save: (batch: Batch, signal: AbortSignal) => Promise<void>
  /** Name of the tab that this code runs in. */
  readonly tab: () => string
  /** Default 5,000 ms. */
  readonly everyMs?: number
}

export interface AutosaveStatus {
  /** The tab that saves. */
  readonly saver: string
  /** Revision of the last edit. */
  readonly revision: number
  /** Revision up to which all is known to be saved. */
  readonly saved: number
  /** Why the last save failed; `null` where it did not. */
  readonly problem: string | null
}

/** Makes the kind: each page brings its own `save`, and that of the host is the one that is called. */
export function autosave({ save, tab, everyMs = 5_000 }: AutosaveOptions) {
  return defineGrain('autosave', (self) => {
    const work = self.state({ revision: 0, unsaved: [] as string[] })
    let isSaving = false
    let savedTo = 0
    let problem: string | null = null

    // nobody waits for a save: a slow server must not hold up edits
    const start = async (): Promise<void> => {
      const { unsaved: edits, revision } = work.value
      if (isSaving || edits.length === 0) return
      isSaving = true
      try {
        await save({ document: self.key, edits, revision }, self.signal)
        savedTo = revision
        problem = null
      } catch (error) {
        problem = String(error)
      }
      isSaving = false
    }
    // state is changed within a call, so what a save has done is noted at the next one
    const note = (): void => {
      const known = work.value.revision - work.value.unsaved.length
      if (savedTo > known) work.update((draft) => void draft.unsaved.splice(0, savedTo - known))
    }
    const status = (): AutosaveStatus => {
      note()
      const { revision, unsaved } = work.value
      return { saver: tab(), revision, saved: revision - unsaved.length, problem }
    }
    self.every(everyMs, () => {
      note()
      void start()
    })
    return {
      edit(edit: string): AutosaveStatus {
        work.update((draft) => {
          draft.revision += 1
          draft.unsaved.push(edit)
        })
        return status()
      },
      status,
    }
  })
}

/**
 * The timer of a grain begins again when the grain is next called. So that unsaved edits do not wait for the next edit
 * after their tab is gone, every tab asks for the status when a member is gone. Returns the way to stop.
 */
export function saveWhoeverGoes(
  cluster: Pick<Cluster, 'on'>,
  document: Pick<GrainProxy<MethodsOf<ReturnType<typeof autosave>>>, 'status'>,
): () => void {
  return cluster.on('member-status', ({ to }) => {
    if (to === 'unreachable' || to === 'removed') document.status().catch(() => {})
  })
}
