// The tiles as typed arrays in Web Mercator, with an index for what lies where.

import Flatbush from "flatbush";
import type { TableJson } from "./types";

const RADIUS = 6378137;
const SCALE = 100_000;
export const WORLD = 2 * Math.PI * RADIUS;

export function mercator(longitude: number, latitude: number): [number, number] {
  const y = Math.max(-85.06, Math.min(85.06, latitude)) * (Math.PI / 180);
  return [longitude * (Math.PI / 180) * RADIUS, RADIUS * Math.log(Math.tan(Math.PI / 4 + y / 2))];
}

export class Tiles {
  readonly names: string[];
  readonly words: string[];
  readonly status: Uint8Array;
  readonly rings: number;
  /** Tile of each ring; where its points begin (in points); boxes of the rings: west, south, east, north. */
  readonly owner: Int32Array;
  readonly starts: Int32Array;
  readonly points: Float64Array;
  readonly boxes: Float64Array;
  readonly index: Flatbush | null;
  readonly counts: number[];
  readonly byTile: Int32Array;

  constructor(readonly table: TableJson) {
    this.names = table.names;
    this.words = table.words;
    this.status = Uint8Array.from(table.status);
    const sizes = typeof table.sizes === "number" ? null : table.sizes;
    const all = table.xy.length / 2;
    this.rings = sizes ? sizes.length : typeof table.sizes === "number" && table.sizes ? all / table.sizes : 0;
    this.owner = table.owners ? Int32Array.from(table.owners) : Int32Array.from({ length: this.rings }, (_, i) => i);
    this.starts = new Int32Array(this.rings + 1);
    for (let ring = 0; ring < this.rings; ring++) {
      this.starts[ring + 1] = this.starts[ring]! + (sizes ? sizes[ring]! : (table.sizes as number));
    }
    this.points = new Float64Array(table.xy.length);
    let x = 0;
    let y = 0;
    for (let i = 0; i < table.xy.length; i += 2) {
      x += table.xy[i]!;
      y += table.xy[i + 1]!;
      const place = mercator(x / SCALE, y / SCALE);
      this.points[i] = place[0];
      this.points[i + 1] = place[1];
    }
    this.boxes = new Float64Array(this.rings * 4);
    this.byTile = new Int32Array(this.names.length).fill(-1);
    this.index = this.rings ? new Flatbush(this.rings) : null;
    for (let ring = 0; ring < this.rings; ring++) {
      let [west, south, east, north] = [Infinity, Infinity, -Infinity, -Infinity];
      for (let i = this.starts[ring]! * 2; i < this.starts[ring + 1]! * 2; i += 2) {
        const [px, py] = [this.points[i]!, this.points[i + 1]!];
        if (px < west) west = px;
        if (px > east) east = px;
        if (py < south) south = py;
        if (py > north) north = py;
      }
      this.boxes.set([west, south, east, north], ring * 4);
      this.index!.add(west, south, east, north);
      const tile = this.owner[ring]!;
      if (this.byTile[tile] === -1) this.byTile[tile] = ring;
    }
    this.index?.finish();
    this.counts = new Array(this.words.length).fill(0);
    for (const code of this.status) this.counts[code]!++;
  }

  word(tile: number): string {
    return this.words[this.status[tile]!] ?? "UNKNOWN";
  }

  extent(): [number, number, number, number] | null {
    const index = this.index;
    return index ? [index.minX, index.minY, index.maxX, index.maxY] : null;
  }

  /** The tile at a place in Web Mercator, -1 if there is none. */
  at(x: number, y: number): number {
    if (!this.index) return -1;
    for (const shift of [0, WORLD, -WORLD]) {
      for (const ring of this.index.search(x + shift, y, x + shift, y)) {
        if (this.contains(ring, x + shift, y)) return this.owner[ring]!;
      }
    }
    return -1;
  }

  private contains(ring: number, x: number, y: number): boolean {
    let inside = false;
    const [first, end] = [this.starts[ring]!, this.starts[ring + 1]!];
    for (let i = first, j = end - 1; i < end; j = i++) {
      const [xi, yi, xj, yj] = [
        this.points[i * 2]!, this.points[i * 2 + 1]!, this.points[j * 2]!, this.points[j * 2 + 1]!,
      ];
      if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
    }
    return inside;
  }

  /** Tiles as GeoJSON, those of one status or all. */
  geojson(word: string | null): string {
    const features: unknown[] = [];
    const rings = new Map<number, number[][][]>();
    let x = 0;
    let y = 0;
    for (let ring = 0; ring < this.rings; ring++) {
      const points: number[][] = [];
      for (let i = this.starts[ring]!; i < this.starts[ring + 1]!; i++) {
        x += this.table.xy[i * 2]!;
        y += this.table.xy[i * 2 + 1]!;
        points.push([x / SCALE, y / SCALE]);
      }
      if (points[0]) points.push(points[0]);
      const tile = this.owner[ring]!;
      rings.set(tile, [...(rings.get(tile) ?? []), points]);
    }
    for (let tile = 0; tile < this.names.length; tile++) {
      if (word !== null && this.word(tile) !== word) continue;
      const own = rings.get(tile);
      const properties = {
        name: this.names[tile],
        status: this.word(tile),
        processing_units: this.table.costs?.[tile] ?? null,
        error: this.table.errors[String(tile)] ?? null,
      };
      const geometry = own ? { type: "MultiPolygon", coordinates: own.map((points) => [points]) } : null;
      features.push({ type: "Feature", properties, geometry });
    }
    return JSON.stringify({ type: "FeatureCollection", features });
  }
}
