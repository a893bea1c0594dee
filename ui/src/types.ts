// What the backend sends: see airflow_sentinelhub/web/job_view.py and airflow_sentinelhub/api/tile_table.py.

export interface Job {
  status?: string;
  user_action?: string;
  error?: string | null;
  description?: string | null;
  created?: number | null;
  acted?: number | null;
  tile_count?: number | null;
  expected_cost?: number | null;
  cost?: number | null;
  stopped_reason?: string | null;
  output_url?: string | null;
  share?: number | null;
}

export interface RequestView {
  id: string;
  batch_api: string;
  things: string;
  conn_id: string;
  job: Job;
  read_at: number | null;
  by_task: boolean;
  unknown_since: number | null;
  why: string;
  error: string;
  reading: boolean;
  states: [number, string, string][];
  course: [number, number | null, number | null][];
  counts: Record<string, number> | null;
  budget: number | null;
  every: number | null;
  final_cost: number | null;
  marker: string | null;
  payload: unknown;
  report?: string | null;
  tiles: { revision: number; number: number | null; read_at: number | null; partly: boolean; error: string };
}

export interface TaskView {
  dag_id: string;
  run_id: string;
  task_id: string;
  map_index: number;
  state: string | null;
  try_number: number;
  operator: string;
  started: number | null;
  ended: number | null;
}

export interface View {
  found: boolean;
  now: number;
  notice?: string;
  live?: boolean;
  task?: TaskView;
  request?: RequestView | null;
}

export interface TableJson {
  words: string[];
  names: string[];
  status: number[];
  sizes: number | number[];
  owners: number[] | null;
  xy: number[];
  costs: (number | null)[] | null;
  errors: Record<string, string>;
  unplaced: number;
}

export interface TilesReply {
  area: [number, number][][];
  table: TableJson | null;
  paths?: Record<string, string>[];
}
