/**
 * Chart layout: where the boxes, edges and labels of a chart go. ELK (layered, downwards) decides; sizes come from the text.
 * Takes 100 to 500 ms of CPU, so the shop runs it in a worker (page-worker.ts).
 *
 * Nested states: coordinates are those of the root, and `considerModelOrder` must not be set on them: ELK then crashes.
 */
import ElkConstructor, {
  type ELK,
  type ElkEdgeSection,
  type ElkExtendedEdge,
  type ElkNode,
} from 'elkjs/lib/elk.bundled.js'
import type { Chart, ChartState } from './chart-model.ts'

export interface Point {
  readonly x: number
  readonly y: number
}

export interface Line {
  readonly text: string
  readonly kind: 'name' | 'description' | 'detail'
}

export interface Box extends Point {
  readonly state: ChartState
  readonly width: number
  readonly height: number
  readonly lines: readonly Line[]
  readonly depth: number
}

export interface Arrow {
  readonly from: string
  readonly to: string
  readonly points: readonly Point[]
  readonly label?: Point & { readonly text: string }
}

export interface Layout {
  readonly id: string
  readonly width: number
  readonly height: number
  readonly boxes: readonly Box[]
  /** Where charts begin: dots. */
  readonly dots: readonly Point[]
  readonly arrows: readonly Arrow[]
}

export const metrics = { padding: 14, dotRadius: 5, labelHeight: 16, name: 22, description: 18, detail: 18 } as const

/** The parts of ELK's answer that are always there after a layout. */
type Placed = ElkNode & Point & { width: number; height: number }

const rootOptions = {
  'elk.algorithm': 'layered',
  'elk.direction': 'DOWN',
  'elk.hierarchyHandling': 'INCLUDE_CHILDREN',
  'elk.json.edgeCoords': 'ROOT',
  'elk.layered.cycleBreaking.strategy': 'MODEL_ORDER',
  'elk.layered.considerModelOrder.strategy': 'NODES_AND_EDGES',
  'elk.layered.spacing.nodeNodeBetweenLayers': '12',
  'elk.spacing.edgeLabel': '8',
  'elk.padding': '[top=8,left=8,bottom=8,right=8]',
}

const compositeOptions = {
  'elk.layered.cycleBreaking.strategy': 'DEPTH_FIRST',
  'elk.padding': '[top=64,left=16,bottom=16,right=16]',
}

// The types of elkjs say it has a default export; what Node imports is the constructor itself or an object that holds it.
const imported = ElkConstructor as unknown as { default?: unknown }
const Elk = (imported.default ?? imported) as new () => ELK

/** Lays out a chart. */
export async function layOut(chart: Chart): Promise<Layout> {
  const edges: ElkExtendedEdge[] = chart.edges.map(({ from, to, event, guard }, index) => {
    const text = [event, guard && `[${guard}]`].filter(Boolean).join(' ')
    const label = { text, width: measure(text, 12) + 6, height: metrics.labelHeight }
    return { id: `edge-${index}`, sources: [from], targets: [to], labels: text === '' ? [] : [label] }
  })
  const graph = await new Elk().layout({
    id: 'root',
    layoutOptions: rootOptions,
    children: [...toDots(chart.states), ...chart.states.map(toNode)],
    edges: [...edges, ...toDotEdges(chart.states)],
  })
  const { width, height } = graph as ElkNode as Placed
  const boxes = toBoxes(chart.states, graph, { x: 0, y: 0 }, 0)
  return {
    id: chart.id,
    width,
    height,
    boxes,
    dots: findDots(graph, { x: 0, y: 0 }),
    arrows: graph.edges.map(toArrow),
  }
}

/** How wide a text is in a common sans-serif font, a little generously: nobody here can ask a font. */
function measure(text: string, fontSize: number): number {
  let em = 0
  for (const character of text) em += widthOf(character)
  return Math.ceil(em * fontSize)
}

function widthOf(character: string): number {
  if (/[ijlI.,:;'|!()[\]]/.test(character)) return 0.33
  if (/[ frt-]/.test(character)) return 0.4
  if (/[mwMW@→]/.test(character)) return 0.92
  return /[A-Z]/.test(character) ? 0.7 : 0.59
}

/** What is written in a state's box. */
function toLines({ name, description, entry, events }: ChartState): Line[] {
  const lines: Line[] = [{ kind: 'name', text: name }]
  if (description !== '') lines.push({ kind: 'description', text: description })
  if (entry.length > 0) lines.push({ kind: 'detail', text: `entry / ${entry.join(', ')}` })
  for (const { event, actions, targets } of events) {
    if (actions.length === 0 && targets.length > 0) continue
    lines.push({ kind: 'detail', text: [event, actions.join(', ')].filter(Boolean).join(' / ') })
  }
  return lines
}

function toNode(state: ChartState): ElkNode {
  const lines = toLines(state)
  // Room for a count or a mark at the right of the name.
  const widths = lines.map(({ text, kind }) => measure(text, kind === 'name' ? 15 : 12) + (kind === 'name' ? 60 : 0))
  const size = {
    width: Math.max(120, ...widths) + 2 * metrics.padding,
    height: lines.reduce((sum, { kind }) => sum + metrics[kind], 0) + 2 * metrics.padding - 4,
  }
  if (state.states.length === 0) return { id: state.id, ...size }
  return {
    id: state.id,
    children: [...toDots(state.states), ...state.states.map(toNode)],
    layoutOptions: compositeOptions,
  }
}

function toDots(states: readonly ChartState[]): ElkNode[] {
  const side = 2 * metrics.dotRadius
  return states.filter(({ isInitial }) => isInitial).map(({ id }) => ({ id: `dot ${id}`, width: side, height: side }))
}

function toDotEdges(states: readonly ChartState[]): ElkExtendedEdge[] {
  const own = states.filter(({ isInitial }) => isInitial)
  const edges = own.map(({ id }) => ({ id: `begin ${id}`, sources: [`dot ${id}`], targets: [id] }))
  return [...edges, ...states.flatMap((state) => toDotEdges(state.states))]
}

function toBoxes(states: readonly ChartState[], parent: ElkNode, origin: Point, depth: number): Box[] {
  return states.flatMap((state) => {
    const node = parent.children!.find(({ id }) => id === state.id) as Placed
    const at = { x: origin.x + node.x, y: origin.y + node.y }
    const { width, height } = node
    return [
      { ...at, state, width, height, lines: toLines(state), depth },
      ...toBoxes(state.states, node, at, depth + 1),
    ]
  })
}

function findDots(parent: ElkNode, origin: Point): Point[] {
  return (parent.children ?? []).flatMap((child) => {
    const { x, y } = child as Placed
    const at = { x: origin.x + x, y: origin.y + y }
    const { dotRadius } = metrics
    return child.id.startsWith('dot ') ? [{ x: at.x + dotRadius, y: at.y + dotRadius }] : findDots(child, at)
  })
}

function toArrow({ sources, targets, sections, labels }: ElkExtendedEdge): Arrow {
  const { startPoint, bendPoints = [], endPoint } = sections![0] as ElkEdgeSection
  const label = labels?.[0]
  const points = [startPoint, ...bendPoints, endPoint]
  const arrow = { from: sources[0]!, to: targets[0]!, points }
  return label ? { ...arrow, label: { x: label.x! + 3, y: label.y!, text: label.text! } } : arrow
}
