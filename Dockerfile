# Airflow with the locked dependencies. The code is mounted by docker-compose.yaml; COPY it for an image of its own.
FROM apache/airflow:3.3.2-python3.12

COPY --chown=airflow:0 requirements.txt /opt/airflow/requirements.txt
RUN pip install --no-cache-dir --require-hashes -r /opt/airflow/requirements.txt

# Named volumes take their owner from these folders.
RUN mkdir -p /opt/airflow/home /opt/airflow/standin
COPY --chown=airflow:0 stack/__init__.py stack/airflow_init.py stack/container_init.py /opt/airflow/init/stack/

ENV PYTHONPATH=/opt/airflow/include:/opt/airflow/plugins
