/** The tree of areas as a list in tree order, found by name or code. */

export interface Area {
  code: string;
  name: string;
  level: string;
  parent: string;
}

interface AreaNode extends Partial<Area> {
  code: string;
  zh?: string;
  children?: AreaNode[];
}

export type AreaAnswer = { items: AreaNode[] } | AreaNode[];

export class Areas {
  private readonly byCode: Map<string, Area>;
  /** Parents before their children. */
  readonly list: Area[];

  constructor(areas: Area[]) {
    this.list = [...areas].sort((a, b) => (a.code < b.code ? -1 : a.code > b.code ? 1 : 0)); // codes nest by prefix
    this.byCode = new Map(this.list.map((area) => [area.code, area]));
  }

  /** Takes a flat list or nested children alike. */
  static of(answer: AreaAnswer): Areas {
    const found: Area[] = [];
    const walk = (nodes: AreaNode[], parent: string): void => {
      for (const node of nodes) {
        found.push({ code: node.code, name: node.name ?? node.zh ?? node.code, level: node.level ?? "", parent: node.parent ?? parent });
        walk(node.children ?? [], node.code);
      }
    };
    walk(Array.isArray(answer) ? answer : answer.items, "");
    return new Areas(found);
  }

  name(code: string): string {
    return this.byCode.get(code)?.name ?? code;
  }

  /** How deep it stands below the first area that we may see. */
  depth(area: Area): number {
    return this.list.filter((other) => other.code !== area.code && area.code.startsWith(other.code)).length;
  }

  /** 椒湾示范区 / 海门街道 / 网格 3: for titles. */
  path(code: string): string {
    const chain = this.list.filter((area) => code.startsWith(area.code)).map((area) => area.name);
    return chain.length === 0 ? code : chain.join(" / ");
  }

  search(query: string): Area[] {
    const words = query.trim().toLowerCase().split(/\s+/).filter((part) => part !== "");
    return this.list.filter((area) => words.every((part) => area.name.toLowerCase().includes(part) || area.code.startsWith(part)));
  }
}
