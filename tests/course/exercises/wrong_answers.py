"""What students hand in and is wrong: per exercise the misconceptions by name, each written as somebody might.

An answer starts with a line `# its name`. None is written as the check's own picture of the misconception is.
"""

from __future__ import annotations

import re

ANSWERS = {
    "01.polygon": """
# x and y mixed up
def polygon_mask(points, height, width):
    mask = np.zeros((height, width), bool)
    for row in range(height):
        for column in range(width):
            mask[row, column] = within(points, row + 0.5, column + 0.5)
    return mask

def within(points, x, y):
    inside = False
    for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1]):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            inside = not inside
    return inside

# corners instead of centres
def polygon_mask(points, height, width):
    mask = np.zeros((height, width), bool)
    for row in range(height):
        for column in range(width):
            mask[row, column] = within(points, column, row)
    return mask

def within(points, x, y):
    inside = False
    for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1]):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            inside = not inside
    return inside

# whole-number points
def polygon_mask(points, height, width):
    whole = np.rint(points).astype(int)
    mask = np.zeros((height, width), bool)
    for row in range(height):
        for column in range(width):
            mask[row, column] = within(whole, column + 0.5, row + 0.5)
    return mask

def within(points, x, y):
    inside = False
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0)):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            inside = not inside
    return inside

# polygon left open
def polygon_mask(points, height, width):
    mask = np.zeros((height, width), int)
    y, x = np.indices((height, width)) + 0.5
    for i in range(len(points) - 1):
        (x0, y0), (x1, y1) = points[i], points[i + 1]
        if y0 != y1:
            crossing = x0 + (y - y0) * (x1 - x0) / (y1 - y0)
            mask += ((y0 > y) != (y1 > y)) & (crossing > x)
    return mask % 2 == 1

# bounding box
def polygon_mask(points, height, width):
    left, top = np.min(points, axis=0)
    right, bottom = np.max(points, axis=0)
    rows, columns = np.arange(height)[:, None] + 0.5, np.arange(width) + 0.5
    return (rows > top) & (rows < bottom) & (columns > left) & (columns < right)

# outside instead of inside
def polygon_mask(points, height, width):
    mask = np.zeros((height, width), int)
    y, x = np.indices((height, width)) + 0.5
    for i in range(len(points)):
        (x0, y0), (x1, y1) = points[i - 1], points[i]
        if y0 != y1:
            crossing = x0 + (y - y0) * (x1 - x0) / (y1 - y0)
            mask += ((y0 > y) != (y1 > y)) & (crossing > x)
    return mask % 2 == 0

# edges counted to both sides
def polygon_mask(points, height, width):
    mask = np.zeros((height, width), int)
    y = np.arange(height)[:, None] + 0.5
    for i in range(len(points)):
        mask += (points[i - 1][1] > y) != (points[i][1] > y)
    return mask % 2 == 1
""",
    "01.ed_es": """
# gaps taken for small hearts
def ed_es(areas):
    return int(areas.argmax()), int(areas.argmin())

# counted among the frames that are left
def ed_es(areas):
    kept = [area for area in areas if area]
    return kept.index(max(kept)), kept.index(min(kept))

# ED and ES swapped
def ed_es(areas):
    large = np.where(areas == 0, np.inf, areas)
    return np.argmin(large), np.argmax(areas)

# first frame taken for end-diastole
def ed_es(areas):
    return 0, np.argmin(np.where(areas == 0, np.inf, areas))

# half a clip after end-diastole
def ed_es(areas):
    ed = np.argmax(areas)
    half = len(areas) // 2
    return ed, ed + half if ed + half < len(areas) else ed + half - len(areas)

# areas instead of frames
def ed_es(areas):
    return max(areas), min(areas[areas > 0])

# counted from 1
def ed_es(areas):
    return 1 + np.argmax(areas), 1 + np.argmin(np.where(areas == 0, np.inf, areas))
""",
    "01.split": """
# frames counted instead of patients
def tested(patients, n):
    test = np.zeros(len(patients), bool)
    test[-n:] = True
    return test

# some frames of each patient
def tested(patients, n):
    last = {name: i for i, name in enumerate(patients)}
    return [i == last[name] for i, name in enumerate(patients)]

# the share of frames, not of patients
def tested(patients, n):
    train = len(patients) * (1 - n / len(set(patients)))
    return [i >= train for i in range(len(patients))]

# the first patients
def tested(patients, n):
    chosen = sorted(set(patients))[:n]
    return [name in chosen for name in patients]

# in the order of their frames
def tested(patients, n):
    seen = []
    for name in patients:
        if name not in seen:
            seen.append(name)
    return [name in seen[len(seen) - n :] for name in patients]

# training and test swapped
def tested(patients, n):
    chosen = sorted(set(patients))[-n:]
    return [name not in chosen for name in patients]

# one patient too many
def tested(patients, n):
    names = sorted(set(patients))
    return [names.index(name) >= len(names) - n - 1 for name in patients]
""",
    "01.leakage": """
# share of patients
def leakage(train, test):
    tested = set(test)
    return len(tested & set(train)) / len(tested)

# share of the training frames
def leakage(train, test):
    return sum(name in test for name in train) / len(train)

# a number of frames
def leakage(train, test):
    return sum(name in train for name in test)

# yes or no
def leakage(train, test):
    return bool(set(train) & set(test))

# share that is clean
def leakage(train, test):
    return sum(name not in train for name in test) / len(test)

# share of all frames
def leakage(train, test):
    return sum(name in train for name in test) / len(np.concatenate([train, test]))

# patients in common
def leakage(train, test):
    return len(np.intersect1d(train, test)) / len(np.union1d(train, test))
""",
    "02.mapping": """
# density instead of its integral
def mapping(histogram):
    levels = histogram.size
    return [round((levels - 1) * count / histogram.sum()) for count in histogram]

# L instead of L - 1
def mapping(histogram):
    total, seen, table = sum(histogram), 0, []
    for count in histogram:
        seen += count
        table.append(np.rint(len(histogram) * seen / total))
    return np.array(table)

# pixels instead of shares
def mapping(histogram):
    return np.cumsum(histogram) * (histogram.shape[0] - 1)

# own level left out
def mapping(histogram):
    p = histogram / np.sum(histogram)
    darker = np.concatenate([[0], np.cumsum(p)[:-1]])
    return np.rint(darker * (len(p) - 1))

# cut off instead of rounded
def mapping(histogram):
    p = histogram / np.sum(histogram)
    return (np.cumsum(p) * (len(p) - 1) + 1e-9).astype(int)

# divided by the highest peak
def mapping(histogram):
    return np.rint(np.cumsum(histogram) / max(histogram) * (len(histogram) - 1))

# stretched to start at 0
def mapping(histogram):
    running = np.cumsum(histogram)
    lowest = running[running > 0].min()
    scaled = (running - lowest) / (running[-1] - lowest) * (len(histogram) - 1)
    return np.rint(np.maximum(scaled, 0))
""",
    "02.clip": """
# what was cut is thrown away
def clip_and_spread(histogram, limit):
    return [min(count, limit) for count in histogram]

# everything given to every level
def clip_and_spread(histogram, limit):
    cut = sum(max(count - limit, 0) for count in histogram)
    return np.array([min(count, limit) + cut for count in histogram])

# given to levels that aren't full only
def clip_and_spread(histogram, limit):
    result = np.where(histogram > limit, limit, histogram).astype(float)
    room = histogram < limit
    result[room] += (histogram.sum() - result.sum()) / room.sum()
    return result

# given to levels that occur only
def clip_and_spread(histogram, limit):
    result = np.clip(histogram, None, limit).astype(float)
    used = histogram != 0
    result[used] += (histogram.sum() - result.sum()) / used.sum()
    return result

# peaks removed whole
def clip_and_spread(histogram, limit):
    kept = np.array([count if count <= limit else 0 for count in histogram])
    return kept + (histogram - kept).sum() / kept.size

# clipped once more
def clip_and_spread(histogram, limit):
    result = np.clip(histogram, 0, limit)
    result = result + (histogram.sum() - result.sum()) / result.size
    result[result > limit] = limit
    return result
""",
    "02.tile": """
# no clipping
def tile_mapping(tile, clip_limit):
    counts, _ = np.histogram(tile, bins=256, range=(0, 256))
    return np.rint(255 * np.cumsum(counts / counts.sum()))

# clip limit taken as pixels
def tile_mapping(tile, clip_limit):
    counts, _ = np.histogram(tile, bins=256, range=(0, 256))
    cut = np.maximum(counts - clip_limit, 0).sum()
    return np.rint(255 * np.cumsum(np.minimum(counts, clip_limit) + cut / 256) / counts.sum())

# fair share of the levels that occur
def tile_mapping(tile, clip_limit):
    counts, _ = np.histogram(tile, bins=256, range=(0, 256))
    most = int(clip_limit * tile.size / np.count_nonzero(counts))
    cut = np.maximum(counts - most, 0).sum()
    return np.rint(255 * np.cumsum(np.minimum(counts, most) + cut / 256) / counts.sum())

# divided by what is left instead of spread
def tile_mapping(tile, clip_limit):
    counts, _ = np.histogram(tile, bins=256, range=(0, 256))
    counts = np.minimum(counts, int(clip_limit * tile.size / 256))
    return np.rint(255 * np.cumsum(counts / counts.sum()))

# limit of one fair share, whatever is asked
def tile_mapping(tile, clip_limit):
    counts, _ = np.histogram(tile, bins=256, range=(0, 256))
    most = counts.mean()
    cut = np.maximum(counts - most, 0).sum()
    return np.rint(255 * np.cumsum(np.minimum(counts, most) + cut / 256) / counts.sum())

# cut pixels thrown away
def tile_mapping(tile, clip_limit):
    counts, _ = np.histogram(tile, bins=256, range=(0, 256))
    counts = np.minimum(counts, int(clip_limit * counts.mean()))
    return np.rint(255 * np.cumsum(counts) / tile.size)

# levels that don't occur left out
def tile_mapping(tile, clip_limit):
    counts, _ = np.histogram(tile, bins=256, range=(0, 256))
    most = int(clip_limit * counts.mean())
    spread = np.minimum(counts, most) + np.maximum(counts - most, 0).sum() / 256
    spread[counts == 0] = 0
    return np.rint(255 * np.cumsum(spread) / spread.sum())
""",
    "02.weights": """
# the pixel's own tile only
def tile_weights(x, tile, tiles):
    return [float(i == x // tile) for i in range(tiles)]

# centres at the tiles' edges
def tile_weights(x, tile, tiles):
    return [max(0.0, 1 - abs(min(x / tile, tiles - 1) - i)) for i in range(tiles)]

# weights the wrong way round
def tile_weights(x, tile, tiles):
    near = np.array([max(0.0, 1 - abs(min(max(x / tile - 0.5, 0), tiles - 1) - i)) for i in range(tiles)])
    two = np.argsort(near)[-2:] if (near > 0).sum() == 2 else None
    if two is not None:
        near[two] = near[two[::-1]]
        return near
    only = int(near.argmax())
    moved = np.zeros(tiles)
    moved[min(only + 1, tiles - 1)] = 1
    return moved

# no end at the outermost centre
def tile_weights(x, tile, tiles):
    before = (x - tile // 2) // tile
    part = (x - tile / 2) / tile - before
    weights = [0.0] * tiles
    weights[before] += 1 - part
    weights[min(before + 1, tiles - 1)] += part
    return weights

# both neighbours alike
def tile_weights(x, tile, tiles):
    place = min(max(x / tile - 0.5, 0), tiles - 1)
    weights = np.zeros(tiles)
    for i in (int(place), min(int(place) + 1, tiles - 1)):
        weights[i] += 0.5
    return weights

# in pixels instead of shares
def tile_weights(x, tile, tiles):
    inside = min(max(x, tile / 2), (tiles - 0.5) * tile)
    return [max(0, tile - abs((i + 0.5) * tile - inside)) for i in range(tiles)]
""",
    "03.parameters": """
# no bias
def parameters(kernel, channels_in, channels_out):
    return kernel * kernel * channels_in * channels_out

# one bias in all
def parameters(kernel, channels_in, channels_out):
    return 1 + kernel * kernel * channels_in * channels_out

# a bias per input channel
def parameters(kernel, channels_in, channels_out):
    return channels_in * (kernel * kernel * channels_out + 1)

# kernel's side, not its area
def parameters(kernel, channels_in, channels_out):
    return channels_out * (kernel * channels_in + 1)

# one kernel for all input channels
def parameters(kernel, channels_in, channels_out):
    return channels_out * (kernel * kernel + 1)

# channels added
def parameters(kernel, channels_in, channels_out):
    weights = kernel * kernel * channels_in + kernel * kernel * channels_out
    return weights + channels_out
""",
    "03.receptive": """
# strides ignored
def receptive_field(convolutions):
    return 1 + sum(kernel - 1 for kernel, _ in convolutions)

# strides added
def receptive_field(convolutions):
    side = 1
    for i, (kernel, _) in enumerate(convolutions):
        side += (kernel - 1) * (1 + sum(stride - 1 for _, stride in convolutions[:i]))
    return side

# own stride first
def receptive_field(convolutions):
    side = 1
    for i, (kernel, _) in enumerate(convolutions):
        side += (kernel - 1) * int(np.prod([stride for _, stride in convolutions[: i + 1]]))
    return side

# kernels added
def receptive_field(convolutions):
    side = 1
    for i, (kernel, _) in enumerate(convolutions):
        side = side + kernel * int(np.prod([1] + [stride for _, stride in convolutions[:i]]))
    return side

# kernels multiplied
def receptive_field(convolutions):
    product = 1
    for kernel, _ in convolutions:
        product = product * kernel
    return product

# counted from 0
def receptive_field(convolutions):
    side = 0
    for i, (kernel, _) in enumerate(convolutions):
        side += (kernel - 1) * int(np.prod([1] + [stride for _, stride in convolutions[:i]]))
    return side
""",
    "03.residual": """
# no shortcut
def stage(y, filters):
    y = layers.Conv2D(filters, 3, padding="same")(layers.BatchNormalization()(y))
    return layers.LeakyReLU(negative_slope=0.01)(y)

def residual(x, filters):
    return stage(stage(x, filters), filters)

# BN after convolution
def residual(x, filters):
    around = layers.Conv2D(filters, 1)(x)
    for _ in (1, 2):
        x = layers.Conv2D(filters, 3, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.LeakyReLU(negative_slope=0.01)(x)
    return layers.add([around, x])

# activation before convolution
def residual(x, filters):
    around = layers.Conv2D(filters, 1)(x)
    for _ in (1, 2):
        x = layers.BatchNormalization()(x)
        x = ops.leaky_relu(x, 0.01)
        x = layers.Conv2D(filters, 3, padding="same")(x)
    return around + x

# Keras's slope
def residual(x, filters):
    around = layers.Conv2D(filters, 1)(x)
    for _ in (1, 2):
        x = layers.BatchNormalization()(x)
        x = layers.Conv2D(filters, 3, padding="same")(x)
        x = layers.LeakyReLU()(x)
    return around + x

# ReLU
def residual(x, filters):
    around = layers.Conv2D(filters, 1)(x)
    for _ in (1, 2):
        x = layers.BatchNormalization()(x)
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    return around + x

# activation after the sum
def residual(x, filters):
    y = x
    for _ in (1, 2):
        y = layers.Conv2D(filters, 3, padding="same")(layers.BatchNormalization()(y))
        y = ops.leaky_relu(y, 0.01)
    return ops.leaky_relu(y + layers.Conv2D(filters, 1)(x), 0.01)

# joined instead of added
def residual(x, filters):
    y = x
    for _ in (1, 2):
        y = layers.Conv2D(filters, 3, padding="same")(layers.BatchNormalization()(y))
        y = ops.leaky_relu(y, 0.01)
    return ops.concatenate([y, layers.Conv2D(filters, 1)(x)], axis=-1)
""",
    "03.inception": """
# pooling after the convolution
def inception(x, filters):
    few = filters // 4
    def step(y, kernel):
        return ops.leaky_relu(layers.Conv2D(few, kernel, padding="same")(y), 0.01)
    one = step(x, 1)
    two = step(step(x, 1), 3)
    three = step(step(step(x, 1), 3), 3)
    four = layers.MaxPooling2D(3, 1, "same")(step(x, 1))
    return layers.Concatenate()([one, two, three, four])

# mean instead of maximum
def inception(x, filters):
    few = filters // 4
    def step(y, kernel):
        return ops.leaky_relu(layers.Conv2D(few, kernel, padding="same")(y), 0.01)
    four = step(layers.AveragePooling2D(3, 1, "same")(x), 1)
    return layers.Concatenate()([step(x, 1), step(step(x, 1), 3), step(step(step(x, 1), 3), 3), four])

# pooling branch first
def inception(x, filters):
    few = filters // 4
    def step(y, kernel):
        return ops.leaky_relu(layers.Conv2D(few, kernel, padding="same")(y), 0.01)
    pooled = step(layers.MaxPooling2D(3, 1, "same")(x), 1)
    return layers.Concatenate()([pooled, step(x, 1), step(step(x, 1), 3), step(step(step(x, 1), 3), 3)])

# no activation
def inception(x, filters):
    few = filters // 4
    def step(y, kernel):
        return layers.Conv2D(few, kernel, padding="same")(y)
    four = step(layers.MaxPooling2D(3, 1, "same")(x), 1)
    return layers.Concatenate()([step(x, 1), step(step(x, 1), 3), step(step(step(x, 1), 3), 3), four])

# activation at a branch's end only
def inception(x, filters):
    few = filters // 4
    def step(y, kernel):
        return layers.Conv2D(few, kernel, padding="same")(y)
    four = step(layers.MaxPooling2D(3, 1, "same")(x), 1)
    y = layers.Concatenate()([step(x, 1), step(step(x, 1), 3), step(step(step(x, 1), 3), 3), four])
    return ops.leaky_relu(y, 0.01)

# a whole 5x5
def inception(x, filters):
    few = filters // 4
    def step(y, kernel):
        return ops.leaky_relu(layers.Conv2D(few, kernel, padding="same")(y), 0.01)
    four = step(layers.MaxPooling2D(3, 1, "same")(x), 1)
    return layers.Concatenate()([step(x, 1), step(step(x, 1), 3), step(step(x, 1), 5), four])

# all channels in every branch
def inception(x, filters):
    def step(y, kernel):
        return ops.leaky_relu(layers.Conv2D(filters, kernel, padding="same")(y), 0.01)
    four = step(layers.MaxPooling2D(3, 1, "same")(x), 1)
    return layers.Concatenate()([step(x, 1), step(step(x, 1), 3), step(step(step(x, 1), 3), 3), four])

# pooling with its own stride
def inception(x, filters):
    few = filters // 4
    def step(y, kernel):
        return ops.leaky_relu(layers.Conv2D(few, kernel, padding="same")(y), 0.01)
    four = step(layers.MaxPooling2D(3, padding="same")(x), 1)
    return layers.Concatenate()([step(x, 1), step(step(x, 1), 3), step(step(step(x, 1), 3), 3), four])
""",
    "03.upsample": """
# nearest neighbour
def upsample(row):
    return [value for value in row for _ in range(2)]

# ends onto ends
def upsample(row):
    n = len(row)
    return np.interp(np.linspace(0, n - 1, 2 * n), np.arange(n), row)

# every other one kept
def upsample(row):
    result = []
    for one, following in zip(row, [*row[1:], row[-1]]):
        result += [one, (one + following) / 2]
    return result

# zeros in between
def upsample(row):
    result = np.zeros(2 * len(row))
    result[::2] = row
    return result

# nothing beyond the ends
def upsample(row):
    n = len(row)
    framed = np.concatenate([[0.0], row, [0.0]])
    where = np.arange(2 * n) / 2 + 0.25 + 0.5
    result = np.interp(where, np.arange(n + 2), framed)
    result[0], result[-1] = row[0] * 0.75, row[-1] * 0.75
    return result
""",
    "03.gate": """
# no sigmoid
def gate(skip, below):
    y = ops.concatenate([skip, below], axis=-1)
    y = ops.leaky_relu(layers.Conv2D(skip.shape[-1] // 2, 1)(y), 0.01)
    return skip * layers.Conv2D(1, 1)(y)

# skip added once more
def gate(skip, below):
    y = ops.concatenate([skip, below], axis=-1)
    y = ops.leaky_relu(layers.Conv2D(skip.shape[-1] // 2, 1)(y), 0.01)
    return skip * (1 + ops.sigmoid(layers.Conv2D(1, 1)(y)))

# below weighted
def gate(skip, below):
    y = ops.concatenate([skip, below], axis=-1)
    y = ops.leaky_relu(layers.Conv2D(skip.shape[-1] // 2, 1)(y), 0.01)
    return below * ops.sigmoid(layers.Conv2D(1, 1)(y))

# halves swapped
def gate(skip, below):
    y = ops.concatenate([below, skip], axis=-1)
    y = ops.leaky_relu(layers.Conv2D(skip.shape[-1] // 2, 1)(y), 0.01)
    return skip * ops.sigmoid(layers.Conv2D(1, 1)(y))

# Keras's slope
def gate(skip, below):
    y = ops.concatenate([skip, below], axis=-1)
    y = layers.LeakyReLU()(layers.Conv2D(skip.shape[-1] // 2, 1)(y))
    return skip * ops.sigmoid(layers.Conv2D(1, 1)(y))

# ReLU
def gate(skip, below):
    y = ops.concatenate([skip, below], axis=-1)
    y = layers.Conv2D(skip.shape[-1] // 2, 1, activation="relu")(y)
    return skip * ops.sigmoid(layers.Conv2D(1, 1)(y))

# a weight per channel
def gate(skip, below):
    y = ops.concatenate([skip, below], axis=-1)
    y = ops.leaky_relu(layers.Conv2D(skip.shape[-1] // 2, 1)(y), 0.01)
    return skip * ops.sigmoid(layers.Conv2D(skip.shape[-1], 1)(y))
""",
    "03.join": """
# nearest neighbour
def join(below, skip, gate):
    big = layers.UpSampling2D()(below)
    return ops.concatenate([big, gate(skip, big)], axis=-1)

# halves swapped
def join(below, skip, gate):
    big = layers.UpSampling2D(interpolation="bilinear")(below)
    return ops.concatenate([gate(skip, big), big], axis=-1)

# skip not gated
def join(below, skip, gate):
    return ops.concatenate([layers.UpSampling2D(interpolation="bilinear")(below), skip], axis=-1)

# gate's arguments swapped
def join(below, skip, gate):
    big = layers.UpSampling2D(interpolation="bilinear")(below)
    return ops.concatenate([big, gate(big, skip)], axis=-1)

# gate before upsampling
def join(below, skip, gate):
    gated = gate(skip, below)
    return layers.Concatenate()([layers.UpSampling2D(interpolation="bilinear")(below), gated])

# added instead of joined
def join(below, skip, gate):
    big = layers.UpSampling2D(interpolation="bilinear")(below)
    return layers.Add()([big, gate(skip, big)])

# transposed convolution
def join(below, skip, gate):
    big = layers.Conv2DTranspose(below.shape[-1], 2, 2)(below)
    return ops.concatenate([big, gate(skip, big)], axis=-1)
""",
    "04.entropy": """
# sigmoid, then logarithm
def cross_entropy(labels, logits):
    total = 0.0
    for y, z in zip(labels, logits):
        p = 1 / (1 + np.exp(-z))
        total -= y * np.log(p) + (1 - y) * np.log(1 - p)
    return total / len(labels)

# probabilities kept away from 0 and 1
def cross_entropy(labels, logits):
    p = np.clip(1 / (1 + np.exp(-logits)), 1e-7, 1 - 1e-7)
    return np.where(labels == 1, -np.log(p), -np.log(1 - p)).mean()

# sum instead of mean
def cross_entropy(labels, logits):
    return (np.logaddexp(0, logits) - labels * logits).sum()

# the LV's pixels only
def cross_entropy(labels, logits):
    return np.mean(labels * (np.logaddexp(0, logits) - logits))

# logarithm to base 2
def cross_entropy(labels, logits):
    return np.logaddexp2(0, np.where(labels == 1, -logits, logits) / np.log(2)).mean()

# sign forgotten
def cross_entropy(labels, logits):
    return np.mean(labels * logits - np.logaddexp(0, logits))

# labels turned over
def cross_entropy(labels, logits):
    return np.logaddexp(0, np.where(labels == 1, logits, -logits)).mean()
""",
    "04.dice_loss": """
# threshold first
def dice_loss(labels, predictions, smooth=1.0):
    found = np.round(predictions)
    above = 2 * np.einsum("bhw,bhw->b", labels, found) + smooth
    return 1 - above / (labels.sum((1, 2)) + found.sum((1, 2)) + smooth)

# coefficient instead of loss
def dice_loss(labels, predictions, smooth=1.0):
    above = 2 * np.einsum("bhw,bhw->b", labels, predictions) + smooth
    return above / (labels.sum((1, 2)) + predictions.sum((1, 2)) + smooth)

# the 2 forgotten
def dice_loss(labels, predictions, smooth=1.0):
    above = np.einsum("bhw,bhw->b", labels, predictions) + smooth
    return 1 - above / (labels.sum((1, 2)) + predictions.sum((1, 2)) + smooth)

# 1 added below only
def dice_loss(labels, predictions, smooth=1.0):
    above = 2 * np.einsum("bhw,bhw->b", labels, predictions)
    return 1 - above / (labels.sum((1, 2)) + predictions.sum((1, 2)) + smooth)

# all images together
def dice_loss(labels, predictions, smooth=1.0):
    above = 2 * np.sum(labels * predictions) + smooth
    return 1 - above / (np.sum(labels) + np.sum(predictions) + smooth)

# squares in the denominator
def dice_loss(labels, predictions, smooth=1.0):
    above = 2 * np.einsum("bhw,bhw->b", labels, predictions) + smooth
    return 1 - above / ((labels**2 + predictions**2).sum((1, 2)) + smooth)

# nothing added
def dice_loss(labels, predictions, smooth=1.0):
    above = 2 * np.einsum("bhw,bhw->b", labels, predictions)
    return 1 - above / (labels.sum((1, 2)) + predictions.sum((1, 2)))
""",
    "04.gradient": """
# the sigmoid's slope forgotten
def gradient(labels, logits, smooth=1.0):
    p = 1 / (1 + np.exp(-logits))
    a, b = 2 * np.dot(labels, p) + smooth, np.sum(labels + p) + smooth
    return a / b**2 - 2 * labels / b + (p - labels) / p.size

# the sigmoid's slope twice
def gradient(labels, logits, smooth=1.0):
    p = 1 / (1 + np.exp(-logits))
    a, b = 2 * np.dot(labels, p) + smooth, np.sum(labels + p) + smooth
    return p * (1 - p) * (a / b**2 - 2 * labels / b + (p - labels) / p.size)

# denominator taken as constant
def gradient(labels, logits, smooth=1.0):
    p = 1 / (1 + np.exp(-logits))
    b = np.sum(labels + p) + smooth
    return (p - labels) / p.size - p * (1 - p) * 2 * labels / b

# cross-entropy's sum instead of mean
def gradient(labels, logits, smooth=1.0):
    p = 1 / (1 + np.exp(-logits))
    a, b = 2 * np.dot(labels, p) + smooth, np.sum(labels + p) + smooth
    return p * (1 - p) * (a / b**2 - 2 * labels / b) + p - labels

# cross-entropy alone
def gradient(labels, logits, smooth=1.0):
    return (1 / (1 + np.exp(-logits)) - labels) / logits.size

# Dice alone
def gradient(labels, logits, smooth=1.0):
    p = 1 / (1 + np.exp(-logits))
    a, b = 2 * np.dot(labels, p) + smooth, np.sum(labels + p) + smooth
    return p * (1 - p) * (a / b**2 - 2 * labels / b)

# uphill
def gradient(labels, logits, smooth=1.0):
    p = 1 / (1 + np.exp(-logits))
    a, b = 2 * np.dot(labels, p) + smooth, np.sum(labels + p) + smooth
    return p * (1 - p) * (2 * labels / b - a / b**2) + (labels - p) / p.size
""",
    "04.dice": """
# intersection over union
def dice(pred, truth):
    tp, either = np.logical_and(pred, truth).sum(), np.logical_or(pred, truth).sum()
    return tp / either if either > 0 else 1.0

# union below
def dice(pred, truth):
    pixels = (pred + truth).sum()
    return 2 * (pred * truth).sum() / pixels if pixels > 0 else 1.0

# the 2 forgotten
def dice(pred, truth):
    pixels = np.count_nonzero(pred) + np.count_nonzero(truth)
    return np.count_nonzero(pred & truth) / pixels if pixels > 0 else 1.0

# missed pixels not counted
def dice(pred, truth):
    tp, fp = (pred & truth).sum(), (pred & ~truth).sum()
    return tp / (tp + fp) if tp + fp else 1.0

# wrongly found pixels not counted
def dice(pred, truth):
    tp, fn = (pred & truth).sum(), (~pred & truth).sum()
    return tp / (tp + fn) if tp + fn else 1.0

# 0/0 left alone
def dice(pred, truth):
    tp, fp, fn = (pred & truth).sum(), (pred & ~truth).sum(), (~pred & truth).sum()
    return 2 * tp / (2 * tp + fp + fn)

# 0/0 left alone, in plain Python
def dice(pred, truth):
    tp = fp = fn = 0
    for p, t in zip(pred.ravel(), truth.ravel()):
        tp += int(p and t)
        fp += int(p and not t)
        fn += int(t and not p)
    return 2 * tp / (2 * tp + fp + fn)

# two empty masks score 0
def dice(pred, truth):
    tp, fp, fn = (pred & truth).sum(), (pred & ~truth).sum(), (~pred & truth).sum()
    return 2 * tp / max(2 * tp + fp + fn, 1)
""",
    "04.accuracy": """
# background not counted
def accuracy(pred, truth):
    return np.logical_and(pred, truth).sum() / truth.size

# LV not counted
def accuracy(pred, truth):
    return np.logical_not(np.logical_or(pred, truth)).sum() / truth.size

# share of errors
def accuracy(pred, truth):
    return (pred ^ truth).mean()

# a number of pixels
def accuracy(pred, truth):
    return np.count_nonzero(pred == truth)

# divided by the pixels of either mask
def accuracy(pred, truth):
    either = np.count_nonzero(pred | truth)
    return np.count_nonzero(pred & truth) / either if either else 0.0

# mean of both classes
def accuracy(pred, truth):
    rates = []
    for label in (False, True):
        if (truth == label).any():
            rates.append((pred[truth == label] == label).mean())
    return sum(rates) / len(rates)
""",
    "04.hd95": """
# the largest distance
def hd95_mm(pred, truth, spacing_mm):
    there = [min(np.hypot(*((p - t) * spacing_mm)) for t in truth) for p in pred]
    back = [min(np.hypot(*((p - t) * spacing_mm)) for p in pred) for t in truth]
    return max(there + back)

# from the prediction only
def hd95_mm(pred, truth, spacing_mm):
    there = [min(np.hypot(*((p - t) * spacing_mm)) for t in truth) for p in pred]
    return np.percentile(there, 95)

# from the truth only
def hd95_mm(pred, truth, spacing_mm):
    back = [min(np.hypot(*((p - t) * spacing_mm)) for p in pred) for t in truth]
    return np.percentile(back, 95)

# both directions in one pot
def hd95_mm(pred, truth, spacing_mm):
    there = [min(np.hypot(*((p - t) * spacing_mm)) for t in truth) for p in pred]
    back = [min(np.hypot(*((p - t) * spacing_mm)) for p in pred) for t in truth]
    return np.percentile(there + back, 95)

# pixels instead of millimetres
def hd95_mm(pred, truth, spacing_mm):
    there = [min(np.hypot(*(p - t)) for t in truth) for p in pred]
    back = [min(np.hypot(*(p - t)) for p in pred) for t in truth]
    return max(np.percentile(there, 95), np.percentile(back, 95))

# rows and columns mixed up
def hd95_mm(pred, truth, spacing_mm):
    x_mm, y_mm = spacing_mm
    a, b = pred[:, ::-1] * (x_mm, y_mm), truth[:, ::-1] * (x_mm, y_mm)
    there = [min(np.hypot(*(p - t)) for t in b) for p in a]
    back = [min(np.hypot(*(p - t)) for p in a) for t in b]
    return max(np.percentile(there, 95), np.percentile(back, 95))

# mean instead of percentile
def hd95_mm(pred, truth, spacing_mm):
    there = [min(np.hypot(*((p - t) * spacing_mm)) for t in truth) for p in pred]
    back = [min(np.hypot(*((p - t) * spacing_mm)) for p in pred) for t in truth]
    return np.mean(there + back)

# all pairs of points
def hd95_mm(pred, truth, spacing_mm):
    return np.percentile([np.hypot(*((p - t) * spacing_mm)) for p in pred for t in truth], 95)
""",
    "09.area": """
# mm² for cm²
def area_cm2(mask, spacing_mm):
    return np.count_nonzero(mask) * np.prod(spacing_mm)

# divided by 10
def area_cm2(mask, spacing_mm):
    return np.count_nonzero(mask) * np.prod(spacing_mm) / 10

# one side of the pixel only
def area_cm2(mask, spacing_mm):
    return np.count_nonzero(mask) * spacing_mm[0] / 100

# square pixels taken for granted
def area_cm2(mask, spacing_mm):
    side_cm = spacing_mm[0] / 10
    return np.count_nonzero(mask) * side_cm * side_cm

# a number of pixels
def area_cm2(mask, spacing_mm):
    return len(np.argwhere(mask))

# a share of the image
def area_cm2(mask, spacing_mm):
    return np.count_nonzero(mask) / mask.size * spacing_mm[0] * spacing_mm[1] / 100
""",
    "09.length": """
# pixels instead of millimetres
def length_mm(apex, annulus, spacing_mm):
    return np.linalg.norm(np.subtract(annulus, apex))

# pixels first, spacing last
def length_mm(apex, annulus, spacing_mm):
    return np.hypot(annulus[0] - apex[0], annulus[1] - apex[1]) * np.mean(spacing_mm)

# rows and columns mixed up
def length_mm(apex, annulus, spacing_mm):
    dx, dy = spacing_mm
    return np.hypot((annulus[1] - apex[1]) * dx, (annulus[0] - apex[0]) * dy)

# only downwards
def length_mm(apex, annulus, spacing_mm):
    return abs(annulus[0] - apex[0]) * spacing_mm[0]

# legs added
def length_mm(apex, annulus, spacing_mm):
    return np.abs(np.subtract(annulus, apex) * spacing_mm).sum()

# squared length
def length_mm(apex, annulus, spacing_mm):
    return np.square(np.subtract(annulus, apex) * spacing_mm).sum()
""",
    "09.disks": """
# diameter taken for radius
def volume_ml(diameters_mm, length_mm):
    return sum(3.141592653589793 * d * d for d in diameters_mm) * length_mm / len(diameters_mm) / 1000

# every disk as tall as the heart
def volume_ml(diameters_mm, length_mm):
    return sum(np.pi * (d / 2) ** 2 * length_mm for d in diameters_mm) / 1000

# mm³ for ml
def volume_ml(diameters_mm, length_mm):
    return sum(np.pi * (d / 2) ** 2 for d in diameters_mm) * length_mm / len(diameters_mm)

# mean diameter squared
def volume_ml(diameters_mm, length_mm):
    radius = np.mean(diameters_mm) / 2
    return np.pi * radius**2 * length_mm / 1000

# pi forgotten
def volume_ml(diameters_mm, length_mm):
    return np.mean(np.square(diameters_mm)) * length_mm / 1000

# diameters not squared
def volume_ml(diameters_mm, length_mm):
    return np.pi / 4 * np.mean(diameters_mm) * length_mm / 1000

# always 20 disks
def volume_ml(diameters_mm, length_mm):
    return np.pi / 4 * np.square(diameters_mm).sum() * length_mm / 20 / 1000
""",
    "09.ef": """
# divided by the end-systolic volume
def ejection_fraction(volumes_ml):
    full, empty = np.nanmax(volumes_ml), np.nanmin(volumes_ml)
    return (full / empty - 1) * 100

# stroke volume
def ejection_fraction(volumes_ml):
    known = volumes_ml[~np.isnan(volumes_ml)]
    return np.ptp(known)

# a share instead of percent
def ejection_fraction(volumes_ml):
    return 1 - np.nanmin(volumes_ml) / np.nanmax(volumes_ml)

# what is left
def ejection_fraction(volumes_ml):
    return np.nanmin(volumes_ml) / np.nanmax(volumes_ml) * 100

# first frame taken for end-diastole
def ejection_fraction(volumes_ml):
    known = [v for v in volumes_ml if not np.isnan(v)]
    return 100 - 100 * min(known) / known[0]

# gaps not passed over
def ejection_fraction(volumes_ml):
    return 100 * (volumes_ml.max() - volumes_ml.min()) / volumes_ml.max()

# gaps taken for empty hearts
def ejection_fraction(volumes_ml):
    volumes_ml[np.isnan(volumes_ml)] = 0
    return 100 * np.ptp(volumes_ml) / volumes_ml.max()
""",
    "09.bland_altman": """
# n instead of n - 1
def bland_altman(found, true):
    d = found - true
    return np.mean(d), np.mean(d) - 1.96 * np.std(d), np.mean(d) + 1.96 * np.std(d)

# interval of the mean
def bland_altman(found, true):
    d = found - true
    error = np.std(d, ddof=1) / len(d) ** 0.5
    return np.mean(d), np.mean(d) - 1.96 * error, np.mean(d) + 1.96 * error

# one standard deviation
def bland_altman(found, true):
    d = found - true
    return np.mean(d), np.mean(d) - np.std(d, ddof=1), np.mean(d) + np.std(d, ddof=1)

# true minus found
def bland_altman(found, true):
    d = np.subtract(true, found)
    half = 1.96 * np.std(d, ddof=1)
    return np.mean(d), np.mean(d) - half, np.mean(d) + half

# differences without sign
def bland_altman(found, true):
    d = np.where(found > true, found - true, true - found)
    half = 1.96 * np.std(d, ddof=1)
    return np.mean(d), np.mean(d) - half, np.mean(d) + half

# percent of the truth
def bland_altman(found, true):
    d = (found / true - 1) * 100
    half = 1.96 * np.std(d, ddof=1)
    return np.mean(d), np.mean(d) - half, np.mean(d) + half

# spread without bias
def bland_altman(found, true):
    d = found - true
    half = 1.96 * np.std(d, ddof=1)
    return np.mean(d), -half, half
""",
    "11.gate": """
# 0 taken for no number
def gated(skip, logits, forced=None):
    weight = forced
    if not weight:
        weight = 1 / (1 + np.exp(-logits))
    return weight * skip

# forced before the sigmoid
def gated(skip, logits, forced=None):
    if forced is not None:
        logits = np.ones_like(logits) * forced
    return skip / (1 + np.exp(-logits))

# forced on top of the gate
def gated(skip, logits, forced=None):
    passed = skip * (1 / (1 + np.exp(-logits)))
    if forced is not None:
        passed = passed * forced
    return passed

# sigmoid forgotten
def gated(skip, logits, forced=None):
    if forced is None:
        forced = logits
    return skip * forced

# skip added once more
def gated(skip, logits, forced=None):
    weight = 1 / (1 + np.exp(-logits))
    if forced is not None:
        weight = np.full(logits.shape, forced)
    return skip * (1 + weight)

# a weight cut at one half
def gated(skip, logits, forced=None):
    weight = 1 / (1 + np.exp(-logits))
    if forced is not None:
        weight[:] = forced
    return np.where(weight > 0.5, skip, 0)

# sign turned
def gated(skip, logits, forced=None):
    if forced is None:
        return skip / (1 + np.exp(logits))
    return skip * forced
""",
    "11.cut": """
# counted from 0
def unheard(kernel, number):
    n = kernel.shape[2] // 4
    heard = np.ones(kernel.shape[2])
    heard[n * number : n * number + n] = 0
    return kernel * heard[:, None]

# channels out
def unheard(kernel, number):
    n = kernel.shape[3] // 4
    kernel[..., n * (number - 1) : n * number] *= 0
    return kernel

# everything else cut
def unheard(kernel, number):
    n = kernel.shape[2] // 4
    heard = np.zeros(kernel.shape[2])
    heard[n * (number - 1) : n * number] = 1
    return kernel * heard[:, None]

# every fourth channel
def unheard(kernel, number):
    heard = np.arange(kernel.shape[2]) % 4 != number - 1
    return np.where(heard[:, None], kernel, 0)

# one channel only
def unheard(kernel, number):
    heard = np.ones(kernel.shape[2])
    heard[number - 1] = 0
    return kernel * heard[None, None, :, None]

# all branches up to it
def unheard(kernel, number):
    n = kernel.shape[2] // 4
    for channel in range(number * n):
        kernel[:, :, channel, :] = 0
    return kernel

# taken out instead of silenced
def unheard(kernel, number):
    n = kernel.shape[2] // 4
    first, last = kernel[:, :, : n * (number - 1)], kernel[:, :, n * number :]
    return np.concatenate([first, last], axis=2)
""",
    "11.mean": """
# one mean for all channels
def stand_in(maps, reference):
    return np.full(maps.shape, np.mean(reference))

# each pixel's mean
def stand_in(maps, reference):
    picture = np.mean(reference, axis=0, keepdims=True)
    return np.repeat(picture, len(maps), axis=0)

# each frame's own mean
def stand_in(maps, reference):
    out = np.empty_like(maps)
    for frame in range(len(maps)):
        out[frame] = maps[frame].mean(axis=(0, 1))
    return out

# mean of the maps themselves
def stand_in(maps, reference):
    return np.broadcast_to(np.einsum("fhwc->c", maps) / maps[..., 0].size, maps.shape)

# zeros
def stand_in(maps, reference):
    return maps * 0.0

# median instead of mean
def stand_in(maps, reference):
    flat = reference.reshape(-1, reference.shape[-1])
    return np.ones(maps.shape) * np.median(flat, axis=0)
""",
    "11.cost": """
# frames taken for patients
def cost(before, after, patients):
    d = 100 * before - 100 * after
    return [np.mean(d), np.std(d, ddof=1) / len(d) ** 0.5]

# not paired
def cost(before, after, patients):
    names = sorted(set(patients))
    b = [before[patients == name].mean() for name in names]
    a = [after[patients == name].mean() for name in names]
    error = np.sqrt(np.var(b, ddof=1) / len(b) + np.var(a, ddof=1) / len(a))
    return 100 * (np.mean(b) - np.mean(a)), 100 * error

# deviation instead of error
def cost(before, after, patients):
    own = [100 * np.mean((before - after)[patients == name]) for name in set(patients)]
    return np.mean(own), np.std(own, ddof=1)

# divided by n
def cost(before, after, patients):
    own = [100 * np.mean((before - after)[patients == name]) for name in set(patients)]
    return np.mean(own), np.std(own, ddof=1) / len(own)

# n instead of n - 1
def cost(before, after, patients):
    own = [100 * np.mean((before - after)[patients == name]) for name in set(patients)]
    return np.mean(own), np.std(own) / len(own) ** 0.5

# gain instead of cost
def cost(before, after, patients):
    own = [100 * np.mean((after - before)[patients == name]) for name in set(patients)]
    return np.mean(own), np.std(own, ddof=1) / len(own) ** 0.5

# a share instead of points
def cost(before, after, patients):
    own = [np.mean((before - after)[patients == name]) for name in set(patients)]
    return np.mean(own), np.std(own, ddof=1) / len(own) ** 0.5

# sums instead of means
def cost(before, after, patients):
    total = {}
    for b, a, name in zip(before, after, patients):
        total[name] = total.get(name, 0) + 100 * (b - a)
    own = list(total.values())
    return np.mean(own), np.std(own, ddof=1) / len(own) ** 0.5
""",
}

_NETWORK = """
def unit(x, filters):
    return {unit}

def improved_resunet():
    def branch(y, filters, *kernels):
        for k in kernels:
            y = {act}(layers.Conv2D(filters, k, padding="same")(y))
        return y

    def inception(x, filters):
        few = filters // 4
        pooled = layers.MaxPooling2D(3, 1, "same")(x)
        return layers.Concatenate()(
            [branch(x, few, 1), branch(x, few, 1, 3), branch(x, few, 1, 3, 3), branch(pooled, few, 1)]
        )

    def stages(x, filters):
        for _ in range(2):
            {stage}
        return x

    def down(x, filters, stride):
        x = {sum}
        {end}

    def up(x, filters):
        return layers.Conv2D(filters, 3, padding="same")({sum})

    x = start = keras.Input((64, 64, 1))
    kept = []
    for level in range(5):
        x = down(x, 8 * 2**level, {stride})
        kept.append(x)
    for level in (3, 2, 1, 0):
        x = layers.UpSampling2D(interpolation="{interpolation}")(x)
        skip = kept[level]
        y = {act}(layers.Conv2D(skip.shape[-1] // 2, 1)(layers.Concatenate()([skip, x])))
        weight = {weight}
        gated = {gated}
        x = up(layers.Concatenate()({halves}), 8 * 2**level)
    return keras.Model(start, {last})
"""
_AS_IT_IS = {
    "unit": "x",
    "act": "layers.LeakyReLU(negative_slope=0.01)",
    "stage": 'x = layers.Conv2D(filters, 3, padding="same")(layers.BatchNormalization()(x))\n'
    "            x = layers.LeakyReLU(negative_slope=0.01)(x)",
    "sum": "layers.add([layers.Conv2D(filters, 1)(x), stages(x, filters)])",
    "end": 'return layers.Conv2D(filters, 3, strides=stride, padding="same")(inception(x, filters))',
    "stride": "1 if level == 0 else 2",
    "interpolation": "bilinear",
    "weight": "ops.sigmoid(layers.Conv2D(1, 1)(y))",
    "gated": "skip * weight",
    "halves": "[x, gated]",
    "last": 'layers.Conv2D(1, 1, activation="sigmoid")(x)',
}
_NETWORKS = {
    "no shortcut": {"sum": "stages(x, filters)"},
    "BN after convolution": {
        "stage": 'x = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(x))\n'
        "            x = layers.LeakyReLU(negative_slope=0.01)(x)"
    },
    "Inception after sampling": {
        "end": 'return inception(layers.Conv2D(filters, 3, strides=stride, padding="same")(x), filters)'
    },
    "Keras's slope": {
        "act": "layers.LeakyReLU()",
        "stage": 'x = layers.Conv2D(filters, 3, padding="same")(layers.BatchNormalization()(x))\n'
        "            x = layers.LeakyReLU()(x)",
    },
    "gate without sigmoid": {"weight": "layers.Conv2D(1, 1)(y)"},
    "halves swapped": {"halves": "[gated, x]"},
    "skip added once more": {"gated": "skip + skip * weight"},
    "ReLU": {
        "act": "ops.relu",
        "stage": 'x = layers.Conv2D(filters, 3, padding="same")(layers.BatchNormalization()(x))\n'
        "            x = ops.relu(x)",
    },
    "nearest upsampling": {"interpolation": "nearest"},
    "logits": {"last": "layers.Conv2D(1, 1)(x)"},
    "first block halves": {"stride": "2"},
}


def network(**changes: str) -> str:
    """Somebody's whole network, right where nothing is changed."""
    return _NETWORK.format(**{**_AS_IT_IS, **changes})


def wrong_answers(exercise: str) -> dict[str, str]:
    """The wrong answers to an exercise: the misconception's name, the text of the cell."""
    if exercise == "03.network":
        return {name: network(**changes) for name, changes in _NETWORKS.items()}
    parts = re.split(r"^# (.+)\n", ANSWERS[exercise], flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))
