/** The graph of links that are really there, as nobody in the room can see it. */
import type { SimulatedProcess } from './process.ts'

/** Members that are connected with each other, the largest part first. */
export function componentsOf(processes: readonly SimulatedProcess[]): SimulatedProcess[][] {
  const left = new Set(processes)
  const components: SimulatedProcess[][] = []
  for (const start of processes) {
    if (!left.delete(start)) continue
    const component = [start]
    for (const process of component) {
      for (const next of process.neighbours()) if (left.delete(next)) component.push(next)
    }
    components.push(component)
  }
  return components.sort((a, b) => b.length - a.length)
}

/** Links that the way from `origin` to each member has at least. Whoever cannot be reached is not in it. */
export function distancesFrom(origin: SimulatedProcess): Map<SimulatedProcess, number> {
  const distances = new Map([[origin, 0]])
  for (const [process, distance] of distances) {
    for (const next of process.neighbours()) if (!distances.has(next)) distances.set(next, distance + 1)
  }
  return distances
}
