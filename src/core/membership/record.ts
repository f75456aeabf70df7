export type NodeStatus = 'joining' | 'up' | 'leaving' | 'removed' | 'unreachable'
export type Visibility = 'visible' | 'hidden' | 'frozen-soon'
