"""What the product is tried with: other versions of Kubernetes, of Spring Cloud and its Eureka."""
