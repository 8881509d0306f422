"""Makes sets.npz, the same emoji in nine hands, from npm's @iconify-json packages, their .tgz in one folder.

npm pack @iconify-json/{noto,noto-v1,twemoji,openmoji,fluent-emoji,fluent-emoji-flat,emojione,emojione-v1,fxemoji} \\
    emoji-datasource-google@16.0.0
pip install resvg-py==0.5.0
python assets/emoji/build_sets.py FOLDER --out sets.npz

Every emoji of Unicode 16 that a set has is drawn at 128 x 128 on white and made 32 x 32 with Lanczos, a few
minutes on one core. Beside sets.npz it writes sets.md: what is in it, and whose work it is.

- *style*: the set. *kind*: the subgroup of Unicode. *concept*: the emoji without its skin tone; a woman, a man and a
  person doing the same are three concepts, as they have code points of their own. *tone*: 0 none, 1 to 5 from light to
  dark, 6 several. *group*: concept and style together; its members differ in skin tone.
- *family* (of a concept): concepts that are one thing in another gender, direction or colour, or that a set draws
  all but alike (the flags of Norway and of Bouvet Island). A family is held out as a whole or not at all.
- *split*: 0 training; 1 the concept is held out, in all styles and skin tones; 2 only this concept in this style is.
  Concepts that training sees have the lower numbers.
"""

import argparse
import io
import json
import re
import tarfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZE, DRAWN = 32, 128
STYLES = ("noto", "noto-v1", "twemoji", "openmoji", "fluent-emoji", "fluent-emoji-flat", "emojione", "emojione-v1",
          "fxemoji")  # fmt: skip
# Code points by name are taken from these; the other packages do not have any.
WITH_CODES = ("twemoji", "noto", "openmoji", "fluent-emoji-flat")
# OpenMoji leaves a broad margin (of 72 units); at 32 x 32 its drawings are the better for every pixel.
MARGIN = {"openmoji": 4}
TONES = ("1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff")
TONE_NAMES = {"light": 0, "medium-light": 1, "medium": 2, "medium-dark": 3, "dark": 4}

SEED = 22
HELD_OUT = 0.05  # of the families of each kind that has at least
FAMILIES = 6
LARGEST = 4  # concepts in a family that may be held out
PAIRS, OTHERS = 400, 5  # pairs held out, and styles besides in which training sees the same concept

# Icons whose names are not those of Unicode, and the short names of emoji-datasource that they are.
BY_HAND = {
    "noto-v1": "keycap-asterisk keycap_star",
    "emojione": "keycap-asterisk keycap_star",
    "emojione-v1": "keycap-asterisk keycap_star",
    "fxemoji": """
        2hearts two_hearts, acorn chestnut, americasglobe earth_americas, anguish anguished,
        anticlockwiseupwardsanddownwardsarrows arrows_counterclockwise, aok ok_hand,
        arrowrightwardsdownwards arrow_heading_down, arrowrightwardsupwards arrow_heading_up,
        asiaaustraliaglobe earth_asia, backwithleftwardsarrow back, ballottboxwithballott ballot_box_with_ballot,
        banknotedollar dollar, banknoteeuro euro, banknotepound pound, banknoteyen yen,
        beachumbrella beach_with_umbrella, bellcancellation no_bell, blackdownpointingdoublearrow arrow_double_down,
        blackdroplet droplet, blackleftpointingarrow arrow_backward, blackleftpointingdoublearrow rewind,
        blackquestionmark question, blackrightpointingarrow arrow_forward, blackrightpointingdoublearrow fast_forward,
        blackuppointingdoublearrow arrow_double_up, blackwaving waving_black_flag, blonde person_with_blond_hair,
        bolt zap, bookmarktab bookmark_tabs, bowing bow, bride bride_with_veil, bunny rabbit, bunny-ears dancers,
        bunnyside rabbit2, catside cat2, cellphone iphone, chartdownwardstrend chart_with_downwards_trend,
        chartupwardstrend chart_with_upwards_trend, chartupwardstrendyen chart, chilipepper hot_pepper, chineseflag cn,
        cjkunifiedideograph-a u6307, cjkunifiedideograph-b u55b6, cjkunifiedideograph-c u7981,
        cjkunifiedideograph-d u7a7a, cjkunifiedideograph-e u5408, cjkunifiedideograph-f u6e80,
        cjkunifiedideograph-g u6709, cjkunifiedideograph-h u6708, cjkunifiedideograph-i u7121,
        cjkunifiedideograph-j u7533, cjkunifiedideograph-k u5272, clock12oclock clock12, clock12thirty clock1230,
        clock1oclock clock1, clock1thirty clock130, clock2oclock clock2, clock2thirty clock230, clock3oclock clock3,
        clock3thirty clock330, clock4oclock clock4, clock4thirty clock430, clock5thirty clock530, clock6oclock clock6,
        clock6thirty clock630, clock7oclock clock7, clockwiserightwardsleftwardscirclearrows repeat,
        clockwiserightwardsleftwardscirclearrowsone repeat_one, closedmailboxlowered mailbox_closed,
        closedmailboxraised mailbox, confetti confetti_ball, construct construction_worker, contact bust_in_silhouette,
        contact2 busts_in_silhouette, controlknob control_knobs, crying cry, devilhorns smiling_imp,
        diamondshapewithdotinside diamond_shape_with_a_dot_inside, dissapointedrelief disappointed_relieved,
        dogside dog2, doubleexclaimationmark bangbang, down point_down, downpointingsmallredtrisngle arrow_down_small,
        dragonhead dragon_face, dragonside dragon, eightspokedasterix eight_spoked_asterisk, endwithleftwardsarrow end,
        envelopedownarrowabove envelope_with_arrow, europeafricaglobe earth_africa, evergreen evergreen_tree,
        exclaimationquestionmark interrobang, fallingleaf fallen_leaf, faxicon fax, fishcakeswirl fish_cake,
        fistedhand facepunch, flexbicep muscle, folder file_folder, forkknife knife_fork_plate,
        frontfacingchick hatched_chick, frown person_frowning, frownmouth frowning, girlgirl two_women_holding_hands,
        girlguy man_and_woman_holding_hands, gma older_woman, gpa older_man, greatbritainflag gb, grinsquint laughing,
        grinsweat sweat_smile, grintears joy, grinwide smiley, guapimao man_with_gua_pi_mao,
        guyguy two_men_holding_hands, halo innocent, hampster hamster, handheldvideocamera video_camera,
        hands open_hands, handup raising_hand, headmassage massage, heartarrow cupid, heartgreen green_heart,
        heartpurple purple_heart, heartribbon gift_heart, heartyellow yellow_heart,
        heavyexclaimationmarksymbol exclamation, heavymultiplicationsymbol heavy_multiplication_x, heels high_heel,
        high5 raised_hands, index point_up, italianflag it, japaneseangrymask japanese_goblin,
        kissclosedeyes kissing_closed_eyes, koreaflag kr, leaffluttering leaves, left point_left,
        leftmagnifyingglass mag, leopardside leopard, lockandkey closed_lock_with_key, loudlycrying sob,
        lowerleftpen lower_left_ballpoint_pen, makeupbag pouch, manltepiececlock mantelpiece_clock, mansshirt shirt,
        medicalmask mask, mensrunner athletic_shoe, mensshoe mans_shoe, meridianglobe globe_with_meridians,
        monkeyhear hear_no_evil, monkeysee see_no_evil, monkeyspeak speak_no_evil, mouseside mouse2,
        negativesquaredlatincaptiala a, negativesquaredlatincaptialb b, negativesquaredlatincaptialo o2,
        neutral neutral_face, nogesture no_good, nooneunder18symbol underage,
        notebookdecorativecover notebook_with_decorative_cover, okgesture ok_woman, onarrowleftright on,
        openfolder open_file_folder, openmailboxlowered mailbox_with_no_mail, openmailboxraised mailbox_with_mail,
        outbox outbox_tray, perservere persevere, phonerightarrowleft calling, pigside pig2, pigsnout pig_nose,
        pinkwallet purse, poo hankey, potablewatersystem potable_water, pout person_with_pouting_face, pouting rage,
        present gift, printericon printer, racecar racing_car, raisedhandpartfingers spock-hand,
        raisedhandsfingerssplayed raised_hand_with_fingers_splayed, reminder reminder_ribbon,
        reversehandmiddlefinger middle_finger, right point_right, rightmagnifyingglass mag_right, russianflag ru,
        saggitarius sagittarius, sandals sandal, screamfear scream, silhouetteohjapan japan,
        sixpointedstarwithdot six_pointed_star, sleuthspy sleuth_or_spy, smallfrown slightly_frowning_face,
        smallsmile slightly_smiling_face, smileeyes blush, smiletongue yum, snowmountains snow_capped_mountain,
        soonwithrightarrow soon, spanishflag es, speaker3soundwaves loud_sound, speakercancellation mute,
        speakeronesoundwave sound, speechbubble speech_balloon, spurtingwhale whale, squaredup up, stormcloud lightning,
        studiomic studio_microphone, sunraincloud partly_sunny_rain, sweatsplash sweat_drops, swimming swimmer,
        ten keycap_ten, tennisball tennis, thoughtbaloon thought_balloon, tie necktie, tigerside tiger2,
        tired tired_face, tongueout stuck_out_tongue, tongueoutwink stuck_out_tongue_winking_eye,
        topwithupwardsarrow top, toykotower tokyo_tower, turban man_with_turban,
        uppointingsmallredtrisngle arrow_up_small, videocasette vhs, waitress information_desk_person,
        waningbibbousmoon waning_gibbous_moon, waving wave, whiteexclaimationmark grey_exclamation, whitesun sunny,
        whitesunbehindcloud barely_sunny, whitesunsmallcloud mostly_sunny, winking wink, womansshirt womans_clothes
    """,
}  # fmt: skip
# Icons that are not what their names say, or are damaged.
NOT: dict[str, set[str]] = {"fxemoji": {"heartblue", "tramcar", "fog"}, "noto-v1": {"keycap"}}


@dataclass(frozen=True)
class Package:
    """One set: its icons, the code points that chars.json has for them, and who made it."""

    name: str
    version: str
    icons: dict[str, Any]
    chars: dict[str, str]
    info: dict[str, Any]

    def names(self) -> Iterator[tuple[str, list[str]]]:
        """Each icon that is shown, and all names it has; an icon mirrored is one of its own."""
        others = defaultdict(list)
        for alias, what in self.icons.get("aliases", {}).items():
            if set(what) == {"parent"}:
                others[what["parent"]].append(alias)
            elif what["parent"] in self.icons["icons"]:
                yield alias, [alias]
        for name, icon in self.icons["icons"].items():
            if not icon.get("hidden") and name not in NOT.get(self.name, ()):
                yield name, [name, *others[name]]

    def svg(self, name: str) -> tuple[str, bool]:
        """The drawing as a file of its own, and whether it is to be mirrored."""
        alias = self.icons.get("aliases", {}).get(name)
        icon = self.icons["icons"][alias["parent"] if alias else name]
        width, height = (icon.get(side, self.icons.get(side, 16)) for side in ("width", "height"))
        left, top = (icon.get(side, self.icons.get(side, 0)) for side in ("left", "top"))
        margin = MARGIN.get(self.name, 0)
        box = f"{left + margin} {top + margin} {width - 2 * margin} {height - 2 * margin}"
        opening = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        svg = f'{opening} viewBox="{box}" width="{DRAWN}" height="{DRAWN}">{icon["body"]}</svg>'
        return svg, bool(alias and alias.get("hFlip"))


def read_package(folder: Path, name: str) -> Package:
    (path,) = folder.glob(f"iconify-json-{name}-[0-9]*.tgz")
    with tarfile.open(path) as package:
        parts = {}
        for part in ("icons", "chars", "info", "package"):
            file = package.extractfile(f"package/{part}.json")
            assert file is not None
            parts[part] = json.load(file)
    return Package(name, parts["package"]["version"], parts["icons"], parts["chars"], parts["info"])


def read_emoji(folder: Path) -> list[dict[str, Any]]:
    """All emoji but the components of others, in Unicode's order."""
    (path,) = folder.glob("emoji-datasource-google-*.tgz")
    with tarfile.open(path) as package:
        file = package.extractfile("package/emoji.json")
        assert file is not None
        emoji = [e for e in json.load(file) if e["category"] != "Component"]
    return sorted(emoji, key=lambda e: e["sort_order"])


def plain(code: str) -> str:
    """Code points in small letters and without U+FE0F, which asks for colour and is left out here and there."""
    return "-".join(part for part in code.lower().split("-") if part != "fe0f")


def letters(name: str) -> str:
    """A name as it is compared."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"^flag-for-(flag-)?", "flag-", name.lower()))


def tone_of(code: str) -> int:
    tones = [TONES.index(part) + 1 for part in code.split("-") if part in TONES]
    return 0 if not tones else tones[0] if len(set(tones)) == 1 else 6


class Codes:
    """What an icon is: concept (the place in ``emoji``) and skin tone, by its code points or else by its names."""

    def __init__(self, emoji: list[dict[str, Any]], packages: dict[str, Package]) -> None:
        self.known: dict[str, tuple[int, int]] = {}
        unicode_names: defaultdict[str, set[str]] = defaultdict(set)
        self.short = {}
        for i, e in enumerate(emoji):
            code = plain(e["unified"])
            self.known[code] = i, 0
            for variation in e.get("skin_variations", {}).values():
                self.known[plain(variation["unified"])] = i, tone_of(plain(variation["unified"]))
            self.short |= dict.fromkeys(e["short_names"], (i, 0))
            for name in {letters(e["name"] or ""), *map(letters, e["short_names"])}:
                unicode_names[name].add(code)
        self.short |= {e["short_name"]: (i, 0) for i, e in enumerate(emoji)}
        votes: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for package in (packages[name] for name in WITH_CODES):
            codes = defaultdict(list)
            for code, name in package.chars.items():
                codes[name].append(plain(code))
            for icon, names in package.names():
                for code in codes[icon]:
                    if code in self.known:
                        for k, name in enumerate(names):
                            votes[letters(name)][code] += 1 if k else 3  # its own name counts for more
        self.names = {name: codes.pop() for name, codes in unicode_names.items() if len(codes) == 1}
        self.names |= {name: count.most_common(1)[0][0] for name, count in votes.items()}

    def of(self, package: Package) -> dict[tuple[int, int, str], str]:
        """The icon for each concept, skin tone and code point."""
        hand = dict(pair.split() for pair in BY_HAND.get(package.name, "").split(",") if pair.strip())
        chars = defaultdict(list)
        for code, name in package.chars.items():
            chars[name].append(plain(code))
        found: dict[tuple[int, int, str], str] = {}
        # Names count where there are no code points at all: OpenMoji's "apple" is a logo, with a code point of its own.
        # What has code points, or was looked at, comes first.
        for icon, names in sorted(package.names(), key=lambda icon: not (chars[icon[0]] or icon[0] in hand)):
            codes = [code for code in chars[icon] if code in self.known]
            if not codes and icon in hand:
                i, tone = self.short[hand[icon]]
                found[i, tone, ""] = icon
                continue
            if chars[icon] and not codes:
                continue
            if not codes:
                codes = [self.names[key] for key in map(letters, names) if key in self.names][:1]
            if not codes:  # a skin tone that Unicode 16 does not have
                base = re.fullmatch(r"(.*?)-(light|medium-light|medium|medium-dark|dark)(-skin-tone)?", icon)
                if base and letters(base[1]) in self.names:
                    i, _ = self.known[self.names[letters(base[1])]]
                    found.setdefault((i, TONE_NAMES[base[2]] + 1, base[2]), icon)
            for code in codes:
                i, tone = self.known[code]
                found.setdefault((i, tone, code if tone == 6 else ""), icon)
        return found


def draw(job: tuple[str, bool]) -> np.ndarray:
    """An icon on white, (32, 32, 3) uint8."""
    import resvg_py

    svg, mirrored = job
    image = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg)))).convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    small = np.asarray(white.convert("RGB").resize((SIZE, SIZE), Image.Resampling.LANCZOS))
    return small[:, ::-1] if mirrored else small


# Words that tell apart what is otherwise the same picture.
SAME = re.compile(
    r"\b(man|woman|person|men|women|people|mans|womans|mens|womens|boy|girl|child|and|facing|left|right|up|down|upper|"
    r"lower|leftwards|rightwards|upwards|downwards|waxing|waning|first|last|tilted|pointing|red|orange|yellow|green|"
    r"light blue|blue|purple|brown|black|white|grey|pink)\b"
)
ALIKE = {"prince": "royal", "princess": "royal", "with-crown": "royal", "old": "older", "merman": "mer",
         "mermaid": "mer", "merperson": "mer", "santa-claus": "claus", "mrs-claus": "claus", "mx-claus": "claus",
         "feeding-baby": "breast-feeding"}  # fmt: skip


def thing(name: str) -> str:
    """A concept's name without gender, direction and colour."""
    left = "-".join(SAME.sub("", name.replace("-", " ")).split())
    return ALIKE.get(left, left)


class Families:
    """Sets that are joined, one for each concept at first."""

    def __init__(self, count: int) -> None:
        self.parent = list(range(count))

    def find(self, i: int) -> int:
        while self.parent[i] != i:
            i = self.parent[i]
        return i

    def join(self, members: Iterable[int]) -> None:
        for i, j in zip(members, list(members)[1:], strict=False):
            first, second = sorted((self.find(i), self.find(j)))
            self.parent[second] = first


CLOSE = 9.0  # root mean square of the difference of two pictures, of 255, below which they are all but the same


def families_of(names: list[str], kinds: np.ndarray, images: np.ndarray, style: np.ndarray, concept: np.ndarray,
                tone: np.ndarray) -> np.ndarray:  # fmt: skip
    """The family of each concept, named by the first of its members."""
    families = Families(len(names))
    by_thing = defaultdict(list)
    for i, name in enumerate(names):
        by_thing[thing(name), 0 if name.startswith("flag") else kinds[i]].append(i)
    for members in by_thing.values():
        families.join(members)
    for s in range(len(STYLES)):
        rows = np.flatnonzero((style == s) & (tone == 0))
        flat = images[rows].astype(np.float32)
        for other in (flat, flat[:, :, ::-1]):
            a, b = (pixels.reshape(len(rows), images[0].size) for pixels in (flat, other))
            square = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T
            for i, j in np.argwhere(square < CLOSE**2 * a.shape[1]):
                if i < j:
                    families.join([concept[rows[i]], concept[rows[j]]])
    return np.array([families.find(i) for i in range(len(names))])


def hold_out(kinds: np.ndarray, family: np.ndarray, has: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which concepts are held out, (concepts,), and which pairs of those that are not, (concepts, styles).

    Args:
        kinds, family: of each concept.
        has: (concepts, styles), whether the style has the concept.
    """
    chance = np.random.Generator(np.random.PCG64(SEED))
    members = {f: np.flatnonzero(family == f) for f in np.unique(family)}
    by_kind = {k: [f for f in members if kinds[f] == k] for k in np.unique(kinds)}
    concepts = np.zeros(len(kinds), bool)
    due = 0.0
    for all_of_kind in by_kind.values():
        if len(all_of_kind) < FAMILIES:
            continue
        due += HELD_OUT * len(all_of_kind)
        small = [f for f in all_of_kind if len(members[f]) <= LARGEST]
        for f in chance.permutation(small)[: int(due)]:
            concepts[members[f]] = True
        due -= int(due)
    pairs = np.zeros_like(has)
    used: set[int] = set()
    counts = [PAIRS * (s + 1) // len(STYLES) - PAIRS * s // len(STYLES) for s in range(len(STYLES))]
    for s in np.argsort(has.sum(0)):  # the smallest first: it has the least to choose from
        left = {
            k: list(chance.permutation([
                f for f in of_kind
                if f not in used and not concepts[members[f]].any() and len(members[f]) <= LARGEST
                and has[members[f], s].all() and (has[members[f]].sum(1) > OTHERS).all()
            ]))
            for k, of_kind in by_kind.items()
        }  # fmt: skip
        wanted = counts[s]
        while wanted and any(left.values()):
            for k in chance.permutation([k for k, of_kind in left.items() if of_kind]):
                if wanted:
                    f = int(left[k].pop())
                    pairs[members[f], s] = True
                    used.add(f)
                    wanted -= 1
    return concepts, pairs & has


def credits(packages: dict[str, Package], counts: dict[str, int]) -> str:
    rows = []
    for name, package in packages.items():
        info = package.info
        author, licence = info["author"], info["license"]
        rows.append(f"| {info['name']} | [{author['name']}]({author['url']}) | [{licence['title']}]({licence['url']}) "
                    f"| @iconify-json/{name} {package.version} | {counts[name]} |")  # fmt: skip
    return "\n".join(["| set | by | licence | package | pictures |", "|---|---|---|---|---|", *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("sets.npz"))
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    emoji = read_emoji(args.folder)
    packages = {name: read_package(args.folder, name) for name in STYLES}
    codes = Codes(emoji, packages)
    rows = [
        (s, i, tone, icon)
        for s, name in enumerate(STYLES)
        for (i, tone, _), icon in sorted(codes.of(packages[name]).items())
    ]  # fmt: skip
    jobs = [packages[STYLES[s]].svg(icon) for s, _, _, icon in rows]
    with ProcessPoolExecutor(args.processes) as pool:
        images = np.stack(list(pool.map(draw, jobs, chunksize=100)))
    style, concept, tone = (np.array(column) for column in list(zip(*rows, strict=True))[:3])
    icons = np.array([icon for *_, icon in rows])

    keep = images.reshape(len(images), -1).std(1) > 2
    print("empty:", [f"{STYLES[s]}/{icon}" for (s, _, _, icon), kept in zip(rows, keep, strict=True) if not kept])
    seen: set[tuple[int, int, bytes]] = set()
    for n, image in enumerate(images):  # a skin tone that looks like another of the same thing
        key = style[n], concept[n], image.tobytes()
        keep[n] &= key not in seen
        seen.add(key)
    print("drawn alike within a group:", len(keep) - keep.sum())
    images, style, concept, tone, icons = (a[keep] for a in (images, style, concept, tone, icons))

    names = {code: name for code, name in ((plain(c), n) for c, n in packages["twemoji"].chars.items())}
    concepts = [names[plain(e["unified"])] for e in emoji]
    kind_names = list(dict.fromkeys(e["subcategory"] for e in emoji))
    concept_kind = np.array([kind_names.index(e["subcategory"]) for e in emoji])
    has = np.zeros((len(emoji), len(STYLES)), bool)
    has[concept, style] = True
    family = families_of(concepts, concept_kind, images, style, concept, tone)
    held, pairs = hold_out(concept_kind, family, has)

    order = np.argsort(held, kind="stable")  # those that training sees come first
    place = np.argsort(order)
    split = np.where(held[concept], 1, np.where(pairs[concept, style], 2, 0))
    arrays = {
        "images": images, "style": style.astype(np.uint8), "kind": concept_kind[concept].astype(np.uint8),
        "concept": place[concept].astype(np.uint16), "tone": tone.astype(np.uint8),
        "group": (place[concept] * len(STYLES) + style).astype(np.uint16), "split": split.astype(np.uint8),
        "conditions": np.array(["concept", "kind", "style"]), "splits": np.array(["train", "test", "pairs"]),
        "icon": icons, "styles": np.array(STYLES), "kinds": np.array(kind_names),
        "concepts": np.array(concepts)[order], "codes": np.array([plain(e["unified"]) for e in emoji])[order],
        "concept_kind": concept_kind[order].astype(np.uint8), "family": place[family[order]].astype(np.uint16),
    }  # fmt: skip
    seen_in_training = np.bincount(arrays["concept"][split == 0], minlength=len(emoji)) > 0
    assert seen_in_training.tolist() == sorted(~held, reverse=True)
    np.savez_compressed(args.out, **arrays)

    text = [f"# {args.out.name}", "", f"{len(images):,} pictures, {len(emoji):,} concepts of {len(kind_names)} kinds.",
            "", credits(packages, dict(zip(STYLES, np.bincount(style).tolist(), strict=True))), "",
            "| style | pictures | groups | training | concept held out | pair held out | pairs |",
            "|---|---|---|---|---|---|---|"]  # fmt: skip
    for s, name in enumerate(STYLES):
        mine = style == s
        parts = np.bincount(split[mine], minlength=3)
        text.append(f"| {name} | {mine.sum()} | {has[:, s].sum()} | {parts[0]} | {parts[1]} | {parts[2]} "
                    f"| {pairs[:, s].sum()} |")  # fmt: skip
    text += ["", "| kind | concepts | families | held out | pairs | pictures |", "|---|---|---|---|---|---|"]
    for k, name in enumerate(kind_names):
        mine = concept_kind == k
        text.append(f"| {name} | {mine.sum()} | {len(set(family[mine]))} | {held[mine].sum()} | {pairs[mine].sum()} "
                    f"| {(concept_kind[concept] == k).sum()} |")  # fmt: skip
    total = np.bincount(split, minlength=3)
    text += ["", f"Training sees {total[0]:,} pictures of {(~held).sum():,} concepts. Held out are {held.sum()} "
             f"concepts ({total[1]:,} pictures) and {pairs.sum()} pairs ({total[2]:,}).", ""]  # fmt: skip
    args.out.with_suffix(".md").write_text("\n".join(text))
    print("\n".join(text))


if __name__ == "__main__":
    main()
