// The map: land, the job's area, and its tiles. OpenLayers moves the picture of the tiles while the map is panned, and
// has it drawn anew when the map rests, so that a hundred thousand tiles stay fluid.

import Feature from "ol/Feature";
import Map from "ol/Map";
import View from "ol/View";
import { defaults as controls } from "ol/control/defaults";
import ScaleLine from "ol/control/ScaleLine";
import type { Coordinate } from "ol/coordinate";
import type { Extent } from "ol/extent";
import MultiPolygon from "ol/geom/MultiPolygon";
import Polygon from "ol/geom/Polygon";
import { defaults as interactions } from "ol/interaction/defaults";
import ImageLayer from "ol/layer/Image";
import VectorLayer from "ol/layer/Vector";
import VectorImageLayer from "ol/layer/VectorImage";
import ImageCanvasSource from "ol/source/ImageCanvas";
import VectorSource from "ol/source/Vector";
import Fill from "ol/style/Fill";
import Stroke from "ol/style/Stroke";
import Style from "ol/style/Style";
import type { Topology } from "topojson-specification";
import { countries } from "./land";
import { look, swatch } from "./looks";
import { theme } from "./theme";
import { Tiles, WORLD, mercator } from "./tiles";

const LAND = {
  light: { fill: "#f4f2ec", line: "#c9c4b8", area: "#3a4654", coast: "rgba(58, 70, 84, 0.45)" },
  dark: { fill: "#23292f", line: "#47505a", area: "#d5dde6", coast: "rgba(213, 221, 230, 0.4)" },
};
/** Pixels of a tile from which it has a pattern and an outline. */
const PATTERN_FROM = 7;
const BOX_BELOW = 2.5;

export class JobMap {
  readonly map: Map;
  tiles: Tiles | null = null;
  hidden = new Set<string>();
  frames = 0;
  private readonly land = new VectorSource();
  /** The land once more, above the tiles, which would hide coasts and borders; only after the first picture is there. */
  private readonly coast = new VectorImageLayer({
    source: this.land,
    style: () => new Style({ stroke: new Stroke({ color: LAND[theme()].coast, width: 0.8 }) }),
    imageRatio: 1.6,
    visible: false,
  });
  private readonly area = new VectorSource();
  private readonly chosen = new VectorSource();
  private readonly picture: ImageCanvasSource;
  private fitted: "no" | "area" | "tiles" = "no";

  constructor(target: HTMLElement, over: (tile: number, pixel: number[]) => void, click: (tile: number) => void) {
    this.picture = new ImageCanvasSource({
      canvasFunction: (extent, resolution, ratio, size) => this.draw(extent, resolution, ratio, size),
      ratio: 1.6,
      projection: "EPSG:3857",
    });
    this.map = new Map({
      target,
      controls: controls({ attribution: false, rotate: false }).extend([new ScaleLine()]),
      interactions: interactions({ altShiftDragRotate: false, pinchRotate: false }),
      layers: [
        new VectorImageLayer({ source: this.land, style: () => this.landStyle(), imageRatio: 1.6 }),
        new ImageLayer({ source: this.picture }),
        this.coast,
        new VectorLayer({ source: this.area, style: () => this.line(1.5) }),
        new VectorLayer({ source: this.chosen, style: () => this.line(3) }),
      ],
      view: new View({ center: mercator(10, 47), zoom: 2, maxZoom: 19, minZoom: 1, enableRotation: false }),
    });
    this.map.on("pointermove", (event) => {
      if (event.dragging) return over(-1, event.pixel);
      over(this.at(event.coordinate), event.pixel);
    });
    this.map.on("click", (event) => click(this.at(event.coordinate)));
    this.map.on("postrender", () => void this.frames++);
    target.addEventListener("mouseleave", () => over(-1, [0, 0]));
  }

  /** Once what there is has been drawn and is on the screen. */
  drawn(): Promise<void> {
    return new Promise((resolve) => {
      this.map.once("rendercomplete", () => requestAnimationFrame(() => setTimeout(resolve)));
      this.map.render();
    });
  }

  setLand(topology: Topology): void {
    this.map.once("rendercomplete", () => this.coast.setVisible(true));
    this.land.addFeatures(countries(topology).map((polygons) => {
      const [flat, ends]: [number[], number[][]] = [[], []];
      for (const rings of polygons) {
        ends.push(rings.map((ring) => {
          for (const [x, y] of ring) flat.push(...mercator(x, y));
          return flat.length;
        }));
      }
      return new Feature(new MultiPolygon(flat, "XY", ends));
    }));
  }

  setArea(rings: [number, number][][]): void {
    this.area.clear();
    for (const ring of rings) this.area.addFeature(new Feature(new Polygon([ring.map((p) => mercator(p[0], p[1]))])));
    if (this.fitted === "no" && rings.length) {
      this.fit(this.area.getExtent()!);
      this.fitted = "area";
    }
  }

  setTiles(tiles: Tiles): void {
    this.tiles = tiles;
    const extent = tiles.extent();
    if (this.fitted !== "tiles" && extent) {
      this.fit(extent);
      this.fitted = "tiles";
    }
    this.redraw();
  }

  redraw(): void {
    this.picture.changed();
    for (const source of [this.land, this.area, this.chosen]) source.changed();
  }

  fitAll(): void {
    const extent = this.tiles?.extent() ?? (this.area.isEmpty() ? null : this.area.getExtent());
    if (extent) this.fit(extent);
  }

  show(tile: number, move: boolean): void {
    this.chosen.clear();
    const tiles = this.tiles;
    const ring = tiles && tile >= 0 ? tiles.byTile[tile]! : -1;
    if (!tiles || ring < 0) return;
    const corners: Coordinate[] = [];
    for (let i = tiles.starts[ring]!; i < tiles.starts[ring + 1]!; i++) {
      corners.push([tiles.points[i * 2]!, tiles.points[i * 2 + 1]!]);
    }
    this.chosen.addFeature(new Feature(new Polygon([corners])));
    const view = this.map.getView();
    if (move) view.fit(this.chosen.getExtent()!, { padding: [80, 80, 80, 80], maxZoom: Math.max(view.getZoom() ?? 9, 9) });
  }

  private at(place: Coordinate): number {
    return this.tiles?.at(place[0]!, place[1]!) ?? -1;
  }

  private fit(extent: Extent): void {
    this.map.getView().fit(extent, { padding: [28, 28, 28, 28], maxZoom: 15 });
  }

  private landStyle(): Style {
    const { fill, line } = LAND[theme()];
    return new Style({ fill: new Fill({ color: fill }), stroke: new Stroke({ color: line, width: 1 }) });
  }

  private line(width: number): Style {
    return new Style({ stroke: new Stroke({ color: LAND[theme()].area, width }) });
  }

  private draw(extent: Extent, resolution: number, ratio: number, size: number[]): HTMLCanvasElement {
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(size[0]!));
    canvas.height = Math.max(1, Math.round(size[1]!));
    const tiles = this.tiles;
    const c = canvas.getContext("2d");
    if (!tiles?.index || !c) return canvas;
    const scale = ratio / resolution;
    const [west, , , north] = extent as [number, number, number, number];
    const now = theme();
    const first = Math.floor((extent[0]! - tiles.index.minX) / WORLD);
    const last = Math.ceil((extent[2]! - tiles.index.maxX) / WORLD);
    const box = tiles.boxes;
    for (let world = Math.max(first, -1); world <= Math.min(last, 1); world++) {
      const shift = world * WORLD;
      const seen = tiles.index.search(extent[0]! - shift, extent[1]!, extent[2]! - shift, extent[3]!);
      const groups: number[][] = tiles.words.map(() => []);
      for (const ring of seen) groups[tiles.status[tiles.owner[ring]!]!]!.push(ring);
      groups.forEach((rings, code) => {
        const word = tiles.words[code]!;
        const some = rings[0];
        if (some === undefined || this.hidden.has(word)) return;
        const wide = (box[some * 4 + 2]! - box[some * 4]!) * scale;
        if (wide < BOX_BELOW) {
          c.fillStyle = look(word).colour[now];
          for (const ring of rings) {
            const x = (box[ring * 4]! + shift - west) * scale;
            const y = (north - box[ring * 4 + 3]!) * scale;
            c.fillRect(
              x, y, Math.max((box[ring * 4 + 2]! - box[ring * 4]!) * scale, 1),
              Math.max((box[ring * 4 + 3]! - box[ring * 4 + 1]!) * scale, 1),
            );
          }
          return;
        }
        const patterned = wide >= PATTERN_FROM * ratio;
        c.fillStyle = patterned ? (c.createPattern(swatch(word, now, ratio), "repeat") ?? look(word).colour[now]) : look(word).colour[now];
        c.globalAlpha = patterned || word !== "PENDING" ? 1 : 0.5;
        c.beginPath();
        for (const ring of rings) {
          const [from, end] = [tiles.starts[ring]!, tiles.starts[ring + 1]!];
          for (let i = from; i < end; i++) {
            const x = (tiles.points[i * 2]! + shift - west) * scale;
            const y = (north - tiles.points[i * 2 + 1]!) * scale;
            if (i === from) c.moveTo(x, y);
            else c.lineTo(x, y);
          }
          c.closePath();
        }
        c.fill("nonzero");
        c.globalAlpha = 1;
        if (patterned) {
          c.strokeStyle = now === "dark" ? "#171c21" : "#ffffff";
          c.lineWidth = ratio;
          c.stroke();
        }
      });
    }
    return canvas;
  }
}
