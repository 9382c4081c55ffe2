/* Training steps of fully connected layers as a careful C program has them: the products by OpenBLAS, everything else in
   loops that the compiler turns into vectors. All numbers are float32, matrices lie row by row.

   cc -O3 -march=native -ffast-math -shared -fPIC, and the library that NumPy brings. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_LAYERS = 80 };
enum { RELU, TANH };           /* activation */
enum { SOFTMAX, MSE, SIGMOID };  /* loss: the last of one score, with the logistic function */
enum { SGD, ADAM };            /* optimizer */
enum { ROWS = 101, PLAIN = 111, TRANSPOSED = 112 };

typedef void (*sgemm_t)(int, int, int, int64_t, int64_t, int64_t, float, const float *, int64_t, const float *, int64_t,
                        float, float *, int64_t);

typedef struct {
    int64_t n_layers, batch, activation, loss, optimizer, sizes[MOST_LAYERS + 1], done;
    float rate, beta1, beta2, eps;
    sgemm_t sgemm;
    float *parameters, *gradients, *first, *second;  /* one vector each, the weights of all layers first */
    float *outs[MOST_LAYERS + 1], *douts[MOST_LAYERS + 1];
} net_t;

static float *floats(int64_t n) {
    float *p = aligned_alloc(64, (4 * n + 63) / 64 * 64);
    memset(p, 0, 4 * n);
    return p;
}

static int64_t count(const net_t *net) {
    int64_t n = 0;
    for (int64_t k = 0; k < net->n_layers; k++)
        n += (net->sizes[k] + 1) * net->sizes[k + 1];
    return n;
}

static float *weight_at(const net_t *net, float *vector, int64_t layer) {
    for (int64_t k = 0; k < layer; k++)
        vector += net->sizes[k] * net->sizes[k + 1];
    return vector;
}

static float *bias_at(const net_t *net, float *vector, int64_t layer) {
    vector = weight_at(net, vector, net->n_layers);
    for (int64_t k = 0; k < layer; k++)
        vector += net->sizes[k + 1];
    return vector;
}

net_t *make_net(int64_t n_layers, const int64_t *sizes, int64_t batch, int64_t activation, int64_t loss,
                int64_t optimizer, float rate, float beta1, float beta2, float eps, const float *parameters,
                void *sgemm) {
    net_t *net = calloc(1, sizeof *net);
    *net = (net_t){.n_layers = n_layers, .batch = batch, .activation = activation, .loss = loss,
                   .optimizer = optimizer, .rate = rate, .beta1 = beta1, .beta2 = beta2, .eps = eps,
                   .sgemm = (sgemm_t)sgemm};
    memcpy(net->sizes, sizes, 8 * (n_layers + 1));
    int64_t n = count(net);
    net->parameters = floats(n), net->gradients = floats(n), net->first = floats(n), net->second = floats(n);
    memcpy(net->parameters, parameters, 4 * n);
    for (int64_t k = 1; k <= n_layers; k++)
        net->outs[k] = floats(batch * sizes[k]), net->douts[k] = floats(batch * sizes[k]);
    return net;
}

void free_net(net_t *net) {
    for (int64_t k = 1; k <= net->n_layers; k++)
        free(net->outs[k]), free(net->douts[k]);
    free(net->parameters), free(net->gradients), free(net->first), free(net->second), free(net);
}

void copy_parameters(const net_t *net, float *out) { memcpy(out, net->parameters, 4 * count(net)); }

static void forward(net_t *net, const float *x) {
    net->outs[0] = (float *)x;
    for (int64_t k = 0; k < net->n_layers; k++) {
        int64_t in = net->sizes[k], out = net->sizes[k + 1];
        const float *b = bias_at(net, net->parameters, k);
        float *y = net->outs[k + 1];
        net->sgemm(ROWS, PLAIN, PLAIN, net->batch, out, in, 1, net->outs[k], in,
                   weight_at(net, net->parameters, k), out, 0, y, out);
        int is_last = k == net->n_layers - 1;
        for (int64_t r = 0; r < net->batch; r++, y += out) {
            if (is_last)
                for (int64_t c = 0; c < out; c++) y[c] += b[c];
            else if (net->activation == RELU)
                for (int64_t c = 0; c < out; c++) y[c] = fmaxf(y[c] + b[c], 0);
            else
                for (int64_t c = 0; c < out; c++) y[c] = tanhf(y[c] + b[c]);
        }
    }
}

static void loss_gradient(net_t *net, const void *t) {
    int64_t n = net->batch, k = net->sizes[net->n_layers];
    float *y = net->outs[net->n_layers], *d = net->douts[net->n_layers];
    const float *targets = t;
    const int64_t *labels = t;
    if (net->loss == MSE) {
        for (int64_t i = 0; i < n * k; i++) d[i] = (y[i] - targets[i]) * (2.0f / (n * k));
    } else if (net->loss == SIGMOID) {
        for (int64_t i = 0; i < n * k; i++) d[i] = (1 / (1 + expf(-y[i])) - targets[i]) / (n * k);
    } else {
        for (int64_t r = 0; r < n; r++, y += k, d += k) {
            float largest = y[0], sum = 0;
            for (int64_t c = 1; c < k; c++) largest = fmaxf(largest, y[c]);
            for (int64_t c = 0; c < k; c++) d[c] = expf(y[c] - largest);
            for (int64_t c = 0; c < k; c++) sum += d[c];
            for (int64_t c = 0; c < k; c++) d[c] *= 1 / (sum * n);
            d[labels[r]] -= 1.0f / n;
        }
    }
}

static void backward(net_t *net) {
    for (int64_t k = net->n_layers - 1; k >= 0; k--) {
        int64_t in = net->sizes[k], out = net->sizes[k + 1], n = net->batch;
        float *d = net->douts[k + 1], *db = bias_at(net, net->gradients, k);
        net->sgemm(ROWS, TRANSPOSED, PLAIN, in, out, n, 1, net->outs[k], in, d, out, 0,
                   weight_at(net, net->gradients, k), out);
        memset(db, 0, 4 * out);
        for (int64_t r = 0; r < n; r++)
            for (int64_t c = 0; c < out; c++) db[c] += d[r * out + c];
        if (k == 0) break;
        float *dx = net->douts[k], *y = net->outs[k];
        net->sgemm(ROWS, PLAIN, TRANSPOSED, n, in, out, 1, d, out, weight_at(net, net->parameters, k), out, 0, dx, in);
        if (net->activation == RELU)
            for (int64_t i = 0; i < n * in; i++) dx[i] = y[i] > 0 ? dx[i] : 0;
        else
            for (int64_t i = 0; i < n * in; i++) dx[i] *= 1 - y[i] * y[i];
    }
}

static void update(net_t *net) {
    int64_t n = count(net);
    float *restrict p = net->parameters, *restrict g = net->gradients;
    float *restrict m = net->first, *restrict v = net->second;
    net->done++;
    if (net->optimizer == SGD) {
        for (int64_t i = 0; i < n; i++) p[i] -= net->rate * g[i];
        return;
    }
    float rate = net->rate / (1 - powf(net->beta1, net->done)), scale = 1 / sqrtf(1 - powf(net->beta2, net->done));
    float one = 1 - net->beta1, two = 1 - net->beta2, eps = net->eps;
    for (int64_t i = 0; i < n; i++) {
        m[i] += one * (g[i] - m[i]);
        v[i] += two * (g[i] * g[i] - v[i]);
        p[i] -= rate * m[i] / (sqrtf(v[i]) * scale + eps);
    }
}

void train(net_t *net, int64_t steps, const float *x, const void *t) {
    for (int64_t step = 0; step < steps; step++) {
        forward(net, x);
        loss_gradient(net, t);
        backward(net);
        update(net);
    }
}

const float *predict(net_t *net, const float *x) {
    forward(net, x);
    return net->outs[net->n_layers];
}
