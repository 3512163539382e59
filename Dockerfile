# genkit in a container:
#   docker build -t genkit . && docker run --rm -v "$PWD:/work" genkit run vae-digits
# PIP_ARGUMENTS are further words for pip, such as an index that has builds of torch without CUDA.
FROM python:3.11-slim
ARG PIP_ARGUMENTS=""
COPY . /genkit
WORKDIR /genkit
RUN pip install --no-cache-dir --require-hashes --no-deps --requirement requirements/run.txt \
 && pip install --no-cache-dir --no-build-isolation --constraint constraints.txt $PIP_ARGUMENTS '.[explore,flows,search]'
WORKDIR /work
ENTRYPOINT ["genkit"]
